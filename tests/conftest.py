"""What every test has: an event loop that must not be blocked, asyncio as the only loop, real servers to ask for."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import settings

if TYPE_CHECKING:
    from tests.postgres import RunningPostgres
    from tests.seaweed import RunningSeaweed

# What one example takes says more of the machine than of the code.
settings.register_profile("modelyard", deadline=None)
settings.load_profile("modelyard")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """Our code raises ``BlockingError`` where it would read a file, wait for a socket or sleep on an event loop.

    Only calls made from ``modelyard`` count: a test may prepare its files as it likes.
    """
    with blockbuster_ctx("modelyard"):
        yield


@pytest.fixture(scope="session")
def postgres_server() -> Iterator["RunningPostgres"]:
    """One PostgreSQL for all tests that ask; each takes a database of its own. Whoever stops one starts one."""
    from tests.postgres import RunningPostgres

    with RunningPostgres() as server:
        yield server


@pytest.fixture(scope="session")
def seaweed_server() -> Iterator["RunningSeaweed"]:
    """One S3 service for all tests that ask. Whoever stops one starts one."""
    from tests.seaweed import RunningSeaweed

    with RunningSeaweed() as server:
        yield server
