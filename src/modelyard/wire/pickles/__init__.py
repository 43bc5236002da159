"""API schemas of pickle files: what the scan found in them, trusted ones, and conversions to safetensors."""
