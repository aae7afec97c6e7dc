"""Expression engines behind the contract of the core."""
