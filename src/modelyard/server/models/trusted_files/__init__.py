"""Files that admins have allowed by their hash after they saw what the pickle scan found in them."""
