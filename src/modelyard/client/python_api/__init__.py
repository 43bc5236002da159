"""What programs and notebooks import from ``modelyard``: ``Registry``, ``AsyncRegistry``, ``push``, ``pull``."""
