"""Goes back into the histories of executions: retry, rewind, fork, and forks that are tried."""
