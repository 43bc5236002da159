"""Registries that import from fakes of the sources."""

from tests.server.imports.conftest import fakes, settings, stopped

__all__ = ["fakes", "settings", "stopped"]
