"""Compute what a machine has to do to reach its desired state; pure, performs no I/O."""
