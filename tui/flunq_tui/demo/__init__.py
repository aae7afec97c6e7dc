"""A cluster with a lively workload, so that there is something to see within seconds."""
