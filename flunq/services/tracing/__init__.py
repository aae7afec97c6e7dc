"""Traces: spans made from the journal, on their way to a collector."""
