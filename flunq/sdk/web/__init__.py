"""What executors that speak HTTP share: a client, credentials, external resources.

The modules ``client`` and ``connection`` import httpx or h11, so import them with the first call.
"""
