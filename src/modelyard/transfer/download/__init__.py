"""Resumable downloads into partial files."""
