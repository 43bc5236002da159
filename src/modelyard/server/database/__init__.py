"""One schema on two databases; the only place that knows which."""
