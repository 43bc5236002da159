"""The team's own table of loader nodes."""
