"""``modelyard serve``: the registry."""
