"""Pickle files: allow those that the scan has refused, and convert them to safetensors."""
