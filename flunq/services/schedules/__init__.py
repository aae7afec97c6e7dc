"""The keeper of a tenant's schedules: decides what fires, writes it down, then starts it."""

from __future__ import annotations
