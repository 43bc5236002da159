"""What a machine holds: its roots, what lies in them, the hashes of it, and what this agent placed."""
