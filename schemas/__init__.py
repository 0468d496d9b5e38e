"""What travels between the stages: records, labels, topics and the closed lists of reasons. Pydantic, no I/O."""
