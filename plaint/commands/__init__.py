"""One command of ``plaint`` a file."""
