"""The program on each machine: when the library is looked at, as whom, and what a ComfyUI beside it must be told."""
