"""The command line: click commands, one thin file per group."""
