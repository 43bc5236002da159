"""HTTP of the server: how requests are received, limited and answered, for every slice.

api_route.py          the route class: authenticates first, then reads the body, then runs the operation
json_body.py          JSON bodies, bounded in size, time and memory
operation_limiter.py  thread limits for reading and writing operations, by person and team
connections.py        limits on connections and on their idle time
descriptors.py        limits on open files and sockets of the process
cached_result.py      results of public endpoints, computed once at a time and cached for a second
paging.py             page parameters, cursors, and pages of queries
params.py             ids, client address and settings as route parameters
public_url.py         the base URL of links
problems.py           problems as responses and as OpenAPI entries
openapi_document.py   the OpenAPI document, serialised once
api_docs.py           the API's documentation page at /docs
log_output.py         formats and set-up of logging
memory.py             returns freed memory to the system (glibc)
server.py             the HTTP server
middleware/           code around each request
waiting/              requests that wait for a change: their number, and the end of one without a client
"""
