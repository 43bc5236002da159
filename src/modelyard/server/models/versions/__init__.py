"""Versions of models: their states, which one is current, and what people do with them."""
