"""The program: command line, settings, workers, supervisor, embedded broker, inbox."""
