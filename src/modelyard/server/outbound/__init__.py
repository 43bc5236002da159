"""Outbound requests: the only code that opens connections to addresses that users give.

addresses.py  which IP addresses are never connected to (pure)
policy.py     which hosts and ports may be reached: https on port 443, and those that the operator lists (pure)
transport.py  resolves a host once, checks every answer, and connects to a checked IP address
client.py     requests with redirects by hand, limits of time, size and rate
errors.py     why a request was refused or failed
"""
