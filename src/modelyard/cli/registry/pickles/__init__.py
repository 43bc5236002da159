"""Pickle files: allow those that the scan has refused."""
