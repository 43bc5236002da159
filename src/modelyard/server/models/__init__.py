"""Models: their registration, lists, changes and downloads, and which machines hold them."""
