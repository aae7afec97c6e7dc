"""The durable interpreter: commands and events in, events and effects out. Pure."""
