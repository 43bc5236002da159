"""Tests of what the agent needs of a machine's file system and ComfyUI: ``modelyard agent selftest``."""
