"""Accounts: signing in, staying signed in, and passwords."""
