"""How an operation gets its arguments and a thread, to which account it counts, and how much JSON its body may have."""
