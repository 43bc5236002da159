"""What crosses the network: shapes and problems, shared by the registry and everything that talks to it."""
