"""Bring a machine's models folders to their desired state; the CLI's ``sync`` and the agent use the same code.

desired.py    the models that a machine should hold, validated as hostile input
inventory/    what is on this machine's disks, and its hashes
planning/     desired state and inventory to a plan; pure
apply/        the only code that writes in models folders
previews/     pictures beside models, by the code of apply/
reconcile.py  one reconciliation: scan, plan, apply
scrub.py      read files again at intervals, to detect damage
"""
