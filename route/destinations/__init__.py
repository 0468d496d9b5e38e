"""Destinations: one file each. Everything around a request (retries, limits, breaker, metrics) is route.delivery's."""
