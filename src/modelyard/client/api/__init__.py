"""Calls of the registry's API."""
