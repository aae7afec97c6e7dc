"""Running tasks: in the process that owns the execution, or pulled from the queue."""
