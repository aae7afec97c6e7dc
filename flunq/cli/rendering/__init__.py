"""What the engine's answers look like: as JSON for scripts and as rows for people."""
