"""The deliver worker's side of Kafka: the log of one destination, who owns which partition, and for how long."""
