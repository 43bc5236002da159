"""``machine``: commands about the team's machines."""
