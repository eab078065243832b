"""Addresses: pure functions from and to the query parameters."""
