"""Waiting for what a registry does by itself."""
