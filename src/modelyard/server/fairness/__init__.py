"""Limits and turns: one person, or one team, leaves places, bytes and workers to the others.

accounts.py        the accounts that work is charged to: a person and a team
usage.py           how much is in use in all, and by each person and team, within limits
fair_order.py      whose turn is next among those who wait (weighted fair queuing)
places.py          places for work, and a queue for them: the two together
thread_places.py   the same for threads, which block until they have a place
"""
