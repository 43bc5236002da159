"""What the first bytes of a file tell: its format, or why it is no model."""
