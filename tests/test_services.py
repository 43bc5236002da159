"""Tests of the servers that tests start: their ports, their restarts, and the access rights of their programs."""

import os
import socket
from contextlib import ExitStack

import pytest

from tests import ports
from tests.ports import NotStartedError, free_port, start_on_free_ports
from tests.postgres import RunningPostgres, get_programs_folder, is_open_to_others
from tests.rclone import RunningRclone
from tests.seaweed import GRPC_PORT_OFFSET, RunningSeaweed
from tests.waiting import PATIENCE_SECONDS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.extended(reason="tests the servers that tests start, not the product"),
]

RUNS = 200


@pytest.mark.parametrize("twin", [0, GRPC_PORT_OFFSET])
def test_free_port_with_twin_returns_both_below_ephemeral_range(twin: int) -> None:
    free_ports = [free_port(twin=twin) for _ in range(RUNS)]
    assert len(set(free_ports)) == RUNS
    assert min(free_ports) >= ports.LOWEST_PORT
    assert max(free_ports) + twin < ports.first_ephemeral_port()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
def test_get_programs_folder_as_root_returns_folder_open_to_other_users() -> None:
    os.umask(0o077)
    assert is_open_to_others(get_programs_folder.__wrapped__())


@pytest.mark.parametrize("kind", [RunningPostgres, RunningSeaweed, RunningRclone])
def test_service_start_with_port_in_use_starts_on_another_port(
    kind: type[RunningPostgres] | type[RunningSeaweed] | type[RunningRclone],
) -> None:
    service = kind()
    taken_port = service.port
    with socket.create_server(("127.0.0.1", taken_port)), service:
        assert service.port != taken_port
        assert _accepts(service.port)


def test_start_on_free_ports_broken_service_raises_after_three_attempts() -> None:
    class Broken:
        starts = 0

        def choose_ports(self) -> None:
            pass

        def start(self) -> None:
            self.starts += 1
            raise NotStartedError("its log")

        def stop(self, how: object) -> None:
            pass

    broken = Broken()
    with pytest.raises(NotStartedError, match="its log"):
        start_on_free_ports(broken)
    assert broken.starts == 3


def test_free_port_locked_by_one_process_cannot_be_locked_again() -> None:
    with ExitStack() as held:
        port = free_port()
        with pytest.raises(OSError, match="in use"):
            held.enter_context(ports._lock(port))


def _accepts(port: int) -> bool:
    socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS).close()
    return True
