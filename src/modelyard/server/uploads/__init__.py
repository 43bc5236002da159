"""Bytes on their way in, and the bytes that have arrived."""
