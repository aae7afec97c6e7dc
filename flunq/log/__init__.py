"""Where events live: the ports and their adapters."""
