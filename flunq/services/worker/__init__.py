"""Owners of partitions: take inputs, decide, commit, release effects, recover."""
