"""Registries that import from fakes of the sources."""

from tests.server.imports.conftest import (
    fake_servers,
    fakes,
    module_settings,
    registry_without_jobs,
    settings,
    stopped,
    team,
)

__all__ = ["fake_servers", "fakes", "module_settings", "registry_without_jobs", "settings", "stopped", "team"]
