"""Pictures beside models: ``<stem>.preview.png``, under the rules for models, in a journal of their own.

planner.py  models, their pictures and the files on the disk to a plan; pure
apply.py    writes and removes them with the placement of models
"""
