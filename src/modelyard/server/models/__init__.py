"""Models: named bytes that every machine of a team may hold."""
