"""The sockets that a server reserves before anything else."""

import socket
from collections.abc import Callable, Sequence

import pytest

from modelyard.server.http.public_url import find_own_url
from modelyard.server.http.server import CannotListen, open_sockets
from modelyard.server.settings import Settings
from tests.ports import free_port


def test_second_server_finds_port_taken_before_the_first_listens() -> None:
    port = free_port()
    (first,) = open_sockets("127.0.0.1", port, "port")
    with first, pytest.raises(CannotListen, match="is taken by another program"):
        open_sockets("127.0.0.1", port, "port")


def test_connection_is_refused_until_a_server_listens() -> None:
    port = free_port()
    (reserved,) = open_sockets("127.0.0.1", port, "port")
    with reserved, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port)).close()


@pytest.fixture
def resolve_to(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that lets every host name have these IPv4 addresses."""

    def resolve_to(*hosts: str) -> None:
        def look_up(_host: str, port: int, **_: object) -> Sequence[object]:
            return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)) for host in hosts]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)

    return resolve_to


def test_port_of_a_host_that_is_taken_on_one_address_leaves_no_other_open(resolve_to: Callable[..., None]) -> None:
    port = free_port()
    resolve_to("127.0.0.2", "127.0.0.1")
    with socket.create_server(("127.0.0.1", port)), pytest.raises(CannotListen):
        open_sockets("two-addresses", port, "port")
    socket.create_server(("127.0.0.2", port)).close()


def test_host_name_with_an_address_that_this_machine_lacks_listens_on_the_others(
    resolve_to: Callable[..., None],
) -> None:
    resolve_to("192.0.2.1", "127.0.0.1")  # the first is reserved for documentation
    (opened,) = open_sockets("two-addresses", 0, "port")
    with opened:
        assert opened.getsockname()[0] == "127.0.0.1"


def test_free_port_is_the_same_on_each_address_of_a_host(resolve_to: Callable[..., None]) -> None:
    resolve_to("127.0.0.1", "127.0.0.2")
    first, second = open_sockets("two-addresses", 0, "port")
    with first, second:
        assert first.getsockname()[1] == second.getsockname()[1]
        assert (first.getsockname()[0], second.getsockname()[0]) == ("127.0.0.1", "127.0.0.2")


def test_empty_host_is_every_address() -> None:
    opened = open_sockets("", 0, "port")
    assert "0.0.0.0" in [each.getsockname()[0] for each in opened]  # noqa: S104 - an empty host means this
    for each in opened:
        each.close()


@pytest.mark.parametrize(
    ("option", "remedy"), [("port", "--host, or another port with --port"), ("metrics-port", "MODELYARD_METRICS_HOST")]
)
@pytest.mark.parametrize("host", ["not a host name", "a..b"])
def test_unknown_host_name_is_named_with_the_setting_to_change(
    host: str, option: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = socket.getaddrinfo
    # So that a name which the system would ask a name server for is refused at once.
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, port, **how: look_up(host, port, **how | {"flags": socket.AI_NUMERICHOST})
    )
    with pytest.raises(CannotListen, match=f"cannot listen on {host}:8400: .*{remedy}"):
        open_sockets(host, 8400, option)


def test_taken_port_without_a_free_one_after_it_suggests_any_free_port() -> None:
    with (
        socket.create_server(("127.0.0.3", 65535)),
        pytest.raises(CannotListen, match=r"--port 0 takes any free port\.$"),
    ):
        open_sockets("127.0.0.3", 65535, "port")


@pytest.mark.parametrize(
    ("host", "shown"),
    [("::1", "[::1]"), ("::", "[::1]"), ("", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("yard.example", "yard.example")],  # noqa: S104 - nothing listens here
)
def test_own_address_has_brackets_around_ipv6_and_a_host_that_answers(host: str, shown: str) -> None:
    assert find_own_url(Settings(host=host), 18301) == f"http://{shown}:18301"
