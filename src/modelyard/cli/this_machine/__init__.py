"""Commands on this machine: its agent, and synchronisation without one."""
