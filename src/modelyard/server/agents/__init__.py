"""Machines: their desired models, their heartbeats, and operations on them.

operations.py        list, label, pause and remove machines
heartbeats.py        records what a machine reports
manifest.py          the desired models of a machine, cached
manifest_waiters.py  requests that wait for a new manifest
replica_states.py    the states of models on machines, for the API
desired_counts.py    how many models each machine should hold
state.py             what one process keeps in memory
"""
