"""Replicas: which machines should hold which models, the states that machines report, and the counts in lists."""
