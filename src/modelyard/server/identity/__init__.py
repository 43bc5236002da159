"""Who is calling: users, sign-ins, keys, and how each is recognised.

``open_resources`` makes one ``Identity`` for a process, and ``create_app`` keeps it as ``app.state.identity``.
"""
