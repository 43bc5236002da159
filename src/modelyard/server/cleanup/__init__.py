"""What nobody can reach any more: old trash, uploads that nobody finished, bytes without a name.

collecting.py  a whole round, in its order
rounds.py      how a round is done, and what its steps share
rows.py        models and uploads that are past their time
unused.py      blobs that nothing names
bytes.py       stored bytes that a row proves useless
sweeping.py    the slow look through the whole store

Rows go before bytes, and a row is the proof that bytes are useless: a crash in between leaves a file and that row,
which the next round finds, never a model without its file. A file that no row knows is kept and logged.
"""
