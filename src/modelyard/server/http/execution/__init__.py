"""How an operation gets its arguments and a thread to run in, and to which account it counts."""
