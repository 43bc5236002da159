"""Machines: what each should hold, what it says it holds, and what people tell it."""
