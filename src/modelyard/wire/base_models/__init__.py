"""Base models: their names, and the texts that mean one of them."""
