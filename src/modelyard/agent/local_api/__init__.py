"""The agent's local API, which ComfyUI's extension uses: HTTP on a socket that only the same user can open.

server.py          the socket and its connections
http.py            one request and one response for each connection
routes.py          which handler answers which path
handlers.py        the handlers
shapes.py          bodies of requests and responses
progress.py        the progress of requested models
pushes.py          pushes of files and workflows, as the user who signed in on this machine
pushing_user.py    as which user files are pushed
running_pushes.py  the pushes that are running, and the results of finished ones
"""
