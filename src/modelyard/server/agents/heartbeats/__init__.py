"""Heartbeats: a machine's reported state is stored, and the response has what was requested of the machine."""
