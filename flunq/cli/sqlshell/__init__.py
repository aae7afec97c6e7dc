"""Asking for history: one query from the command line, or many in a shell."""
