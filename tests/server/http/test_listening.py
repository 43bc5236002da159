"""The sockets that a server opens before anything else."""

import socket

import pytest

from modelyard.server.http.server import CannotListen, open_sockets


def test_second_server_finds_port_taken_before_the_first_serves() -> None:
    (first,) = open_sockets("127.0.0.1", 0, "port")
    with first, pytest.raises(CannotListen, match="is taken by another program"):
        open_sockets("127.0.0.1", first.getsockname()[1], "port")


def test_port_of_a_host_that_is_taken_on_one_address_leaves_no_other_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen):
            open_sockets("localhost", port, "port")
        if socket.has_dualstack_ipv6():
            socket.create_server(("::1", port), family=socket.AF_INET6).close()


def test_host_name_with_an_address_that_this_machine_lacks_listens_on_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind, protocol = socket.SOCK_STREAM, socket.IPPROTO_TCP
    found = [
        (socket.AF_INET, kind, protocol, "", ("192.0.2.1", 0)),  # reserved for documentation
        (socket.AF_INET, kind, protocol, "", ("127.0.0.1", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    (opened,) = open_sockets("two-addresses", 0, "port")
    with opened:
        assert opened.getsockname()[0] == "127.0.0.1"


def test_unknown_host_name_is_named_with_the_option_to_change() -> None:
    with pytest.raises(CannotListen, match=r"host\.invalid:8400: .*--host"):
        open_sockets("host.invalid", 8400, "port")
