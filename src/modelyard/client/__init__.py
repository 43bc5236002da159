"""What a program can do with a registry: one client class, push and pull."""
