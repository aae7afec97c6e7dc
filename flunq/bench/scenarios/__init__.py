"""One module per scenario, each with ``DEFAULTS`` and ``measure(cluster, sizes)``."""
