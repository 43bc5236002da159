"""Invitations: how people come into a team, and how accounts are made."""
