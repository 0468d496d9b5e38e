"""``python -m plaint`` is ``plaint``."""

from plaint.cli import main

main()
