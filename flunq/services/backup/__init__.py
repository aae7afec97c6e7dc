"""A whole cluster in one file, taken while it works, and a cluster made from such a file."""
