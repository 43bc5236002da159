"""Finding many models at once by hashes of their content, by paths and by ids, and the hashes of one model.

What a lookup costs is bounded by its request, whatever the team has: statements, rows that are read, matches, bytes.
With a machine's key it also reads, once, the label sets of all machines that use this key.
"""
