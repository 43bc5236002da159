"""Uploads and downloads of models with registration, resumption and checks."""
