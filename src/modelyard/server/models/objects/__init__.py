"""Checks of the stored objects of verified blobs, and what happens when one is damaged or was written again."""
