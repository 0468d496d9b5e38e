"""The HTTP door: posts that other programs send, each answered once Kafka has acknowledged it."""
