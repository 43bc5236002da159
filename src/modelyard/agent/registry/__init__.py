"""The agent's connection to its registry: key, polls, heartbeats and reports."""
