"""Schedules of workflows: when they fire, what a fire leads to, and what has to be remembered."""

from __future__ import annotations
