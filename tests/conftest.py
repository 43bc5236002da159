"""What every test has: an event loop that must not be blocked, and asyncio as the only loop."""

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx


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
