"""API schemas about the use of models on machines, and the rule of what a disk budget evicts."""
