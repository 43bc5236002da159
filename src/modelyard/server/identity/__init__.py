"""Who is calling: users, sign-ins, keys, and how each is recognised.

``create_app`` makes one ``Identity(database)`` and keeps it as ``app.state.identity``.
"""
