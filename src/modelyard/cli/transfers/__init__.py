"""Commands that move model files: push, pull and sync."""
