"""The agent: the program on each machine that keeps its models folders in the team's desired state."""
