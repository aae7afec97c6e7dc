"""Widgets that draw only what is on the screen."""
