"""The command line: a lazy table of commands, one writer for stdout and one for stderr."""
