"""The registry's HTTP client: one method a route, and push and pull built on it."""
