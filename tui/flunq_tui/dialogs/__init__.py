"""Questions that stand above a view."""
