"""API schemas of what a machine asks for because its users want it."""
