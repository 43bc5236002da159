"""Making a machine's models folders hold what a registry wants there: what is wanted, what is held, a plan, the act."""
