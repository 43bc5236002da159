"""Apply a plan; the only code that writes in models folders."""
