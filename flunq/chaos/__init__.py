"""``flunq chaos``: workflows run while their cluster is made to fail, and nothing may be lost."""
