"""``python -m wsss``: the command line, as ``wsss``."""

from wsss.cli.main import main

main()
