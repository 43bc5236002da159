"""Middleware: code around each HTTP request."""
