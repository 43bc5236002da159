"""Fixtures of the tests about machines."""

import pytest

from tests.server.agents.machine import Machine, add_machine
from tests.server.harness import ApiCaller, Harness


@pytest.fixture
def machine(shared_registry: Harness, team: ApiCaller) -> Machine:
    """Return a machine of a new team, with a key of its own."""
    return add_machine(shared_registry, team)
