"""The parts of the local cluster's supervisor: processes, data directory, state, logs."""
