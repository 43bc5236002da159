"""API values of people: their roles in a team."""
