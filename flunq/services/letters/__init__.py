"""The keeper of the dead letters, as a role of a process."""
