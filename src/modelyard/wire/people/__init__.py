"""API schemas of people."""
