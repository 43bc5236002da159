"""Which models the ComfyUIs of this machine use, and when they used them last."""
