"""The registry server: what ``modelyard serve`` runs, and the operator's commands."""
