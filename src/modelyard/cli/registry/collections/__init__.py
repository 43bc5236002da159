"""``collection``: commands about collections."""
