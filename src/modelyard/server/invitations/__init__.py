"""Invitations: how users join a team and how accounts are created."""
