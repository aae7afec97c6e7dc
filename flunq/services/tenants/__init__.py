"""Tenants: their records, what each costs and may cost, and how they come and go."""
