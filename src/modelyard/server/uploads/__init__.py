"""Uploads, in one request or in parts, and the blobs that were uploaded."""
