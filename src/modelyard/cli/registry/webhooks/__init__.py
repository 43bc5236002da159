"""``webhook``: send the team's events to other systems."""
