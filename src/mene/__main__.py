"""``python -m mene``: the command line."""

from mene.cli.app import main

main()
