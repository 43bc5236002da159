"""Accounts: signing in, staying signed in, passwords, and the first start."""
