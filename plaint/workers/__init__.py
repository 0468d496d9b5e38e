"""One worker a stage: the only place that knows Faust, Kafka consumers and when a record is acknowledged."""
