"""Brokers that plaint starts itself, for ``plaint up``: Tansu in memory for the first minute, a local Apache Kafka for good."""
