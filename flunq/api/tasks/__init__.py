"""Tasks for workers that speak HTTP: taken from the queue, kept in hand, given back."""
