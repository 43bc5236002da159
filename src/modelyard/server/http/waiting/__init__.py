"""Requests that wait for a change: how many may, and the end of one whose client has gone."""
