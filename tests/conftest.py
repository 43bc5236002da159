"""Fixtures of all tests: a check for blocking calls, asyncio as the only backend, shared PostgreSQL and S3 servers."""

import gc
import os
import signal
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.postgres import RunningPostgres
    from tests.seaweed import RunningSeaweed

# How long an example takes depends more on the machine than on the code. `make check-all` also tries random examples.
settings.register_profile("random", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("modelyard", settings.get_profile("random"), derandomize=True)
settings.load_profile("modelyard")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None]:
    """Leave modules and tests out of garbage collection, which they never are, and let it run less often."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(10_000)
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse marks without a reason; on another database or store, keep only the tests that use it.

    The others would run the same way again.
    """
    for item in items:
        for mark in (*item.iter_markers("extended"), *item.iter_markers("flaky")):
            if set(mark.kwargs) != {"reason"}:
                raise pytest.UsageError(f"{item.nodeid}: the mark '{mark.name}' needs a reason.")
    if os.environ.get("MODELYARD_TEST_ON", "small") != "small":
        dropped = [item for item in items if "environments" not in getattr(item, "fixturenames", ())]
        items[:] = [item for item in items if "environments" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=dropped)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def default_interrupt() -> Iterator[None]:
    """Let the programs that tests start be interrupted by SIGINT.

    A shell without job control starts what runs in the background (``pytest &``) with SIGINT ignored, and children
    inherit that.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session", autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """Make blocking calls of ``modelyard`` on an event loop raise ``BlockingError`` (files, sockets, sleep).

    Calls made by the tests themselves are allowed.
    """
    with blockbuster_ctx("modelyard"):
        yield


@pytest.fixture(autouse=True)
def same_umask() -> Iterator[None]:
    """Restore the umask after each test: ``serve`` sets its own when a test calls it."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator["RunningPostgres"]:
    """Run one PostgreSQL for all tests; each test creates a database of its own, and none stops the server."""
    from tests.postgres import RunningPostgres

    with RunningPostgres() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres_server: "RunningPostgres") -> Iterator[str]:
    """The name of a migrated PostgreSQL database, which tests copy."""
    from tests.server.environments import migrated_template

    with migrated_template(postgres_server) as template:
        yield template


@pytest.fixture(scope="session")
def seaweed_server() -> Iterator["RunningSeaweed"]:
    """Run one S3 service for all tests; none stops it."""
    from tests.seaweed import RunningSeaweed

    with RunningSeaweed() as server:
        yield server
