"""Machines: their desired models, their heartbeats, and operations on them.

operations.py        list, label, pause and remove machines
heartbeats.py        records what a machine reports
manifest.py          the desired models of a machine, cached
manifest_waiters.py  requests that wait for a new manifest
model_requests.py    what users of a machine request for it
replica_states.py    the states of models on machines, for the API
evictions.py         what a disk budget would evict
unused_models.py     models that machines hold without using them
desired_counts.py    how many models each machine should hold
metrics.py           counts of machines by state, for monitoring
state.py             what one process keeps in memory
"""
