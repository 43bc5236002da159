"""A registry that was closed leaves nothing behind in its process, where tests and embedding programs open the next."""

import gc
import threading
import weakref
from pathlib import Path

from modelyard.server.identity.state import Identity
from modelyard.server.resources import open_resources
from tests.server.conftest import CHEAP
from tests.server.environments import PATIENT, Environments
from tests.server.harness import Harness
from tests.waiting import wait_until


def use_registry(environments: Environments, folder: Path) -> "weakref.ref[object]":
    """Open a registry, register a model in it, close it, and return a reference to its application."""
    with (
        environments.create_settings(folder) as settings,
        open_resources(settings, Identity(CHEAP), PATIENT) as resources,
        Harness(resources) as registry,
    ):
        registry.owner.register()
        return weakref.ref(registry.app)


def is_shared(thread: threading.Thread) -> bool:
    """Return whether a thread belongs to the password hasher that all registries of the tests use."""
    return thread.name.startswith("passwords")


def test_closed_registry_leaves_no_application_and_no_threads(environments: Environments, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    application = use_registry(environments, tmp_path)

    def is_released() -> bool:
        """Look for it again: a thread that still ends may hold the application."""
        gc.collect()
        return application() is None

    wait_until(is_released)
    wait_until(lambda: not {each for each in threading.enumerate() if not is_shared(each)} - before)
