"""Alerts: rules over history and events, and who is told when one holds."""
