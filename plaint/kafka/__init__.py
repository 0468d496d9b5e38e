"""Everything that plaint shares about Kafka: how to connect, which topics exist, how a batch is published."""
