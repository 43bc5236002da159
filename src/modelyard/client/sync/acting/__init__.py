"""Carrying a plan out: the only code that writes in models folders."""
