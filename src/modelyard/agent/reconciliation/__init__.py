"""Reconciliation of the models folders with the desired state, and when it happens."""
