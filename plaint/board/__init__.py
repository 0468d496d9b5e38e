"""The live board: how a running plaint does, on a terminal."""
