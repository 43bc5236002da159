"""Checks of a machine: its registry, key, clock, folders and ComfyUI."""
