"""The audit trail: all operations append events, which are never changed."""
