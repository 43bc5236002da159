"""Lists of models: what is asked for, which index answers it, and pages of the answer."""
