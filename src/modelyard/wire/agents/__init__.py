"""API schemas of agents: manifests, heartbeats, and the states of machines and models."""
