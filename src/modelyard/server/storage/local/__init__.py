"""The local store: objects in one folder, and the routes that serve its signed URLs."""
