"""Outbound requests: which addresses are never connected to, redirects, and limits."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from itertools import count

import pytest

from modelyard.server.outbound.addresses import IpAddress, is_allowed
from modelyard.server.outbound.client import Limits, OutboundClient, TokenUse
from modelyard.server.outbound.errors import (
    AddressRefused,
    OutboundError,
    RedirectRefused,
    ResponseTooLarge,
    SourceTooSlow,
    SourceUnreachable,
)
from modelyard.server.outbound.policy import OutboundPolicy, parse_listed_hosts, parse_url
from tests.server.outbound.loopback import Listener, LoopbackServer, send, serve
from tests.waiting import PATIENCE_SECONDS, pause

LOOPBACK = [
    *("127.0.0.1", "127.0.0.2", "127.255.255.254", "127.1", "127.0.1", "0", "0.0.0.0", "0.0.0.1"),  # noqa: S104  # to connect to
    *("2130706433", "2130706434", "0x7f000001", "0x7F.0.0.1", "0x7f.1", "0177.0.0.1", "0177.1", "017700000001"),
    *("127.0.0.01", "127.000.000.001", "0x7f.0x0.0x0.0x1", "00000177.0.0.1", "127.0x1"),
    *("localhost", "LOCALHOST", "localhost.", "LocalHost.", "ip6-localhost"),
    *("[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[0000:0000:0000:0000:0000:0000:0000:0001]", "[::127.0.0.1]"),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::ffff:0.0.0.0]", "[::FFFF:7F00:0001]"),
    *("[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[2002:7f00:0001:0:0:0:0:1]"),
    *("[fe80::1]", "[fec0::1]", "[fc00::1]", "[fd00::1]", "[ff02::1]"),
    *("10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "198.18.0.1", "240.0.0.1", "255.255.255.255"),
    *("224.0.0.1", "192.0.2.1", "3232235777"),
    # Unicode digits and dots, which IDNA turns into ASCII ones.
    *("①②⑦.0.0.1", "127。0。0。1", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "１２７.0.0.1"),
]
METADATA = [
    *(
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "[::ffff:169.254.169.254]",
    ),
    *("[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "[fd00:ec2::254]", "168.63.129.16", "192.0.0.192"),
    *("100.100.100.200", "[::a9fe:a9fe]", "169.254.170.2"),
]


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.mark.parametrize("host", [*LOOPBACK, *METADATA])
def test_request_spelling_of_internal_address_connects_nowhere(host: str, listener: Listener) -> None:
    with OutboundClient(OutboundPolicy(public_port=listener.port)) as client:  # noqa: SIM117  # the client outlives it
        with pytest.raises(OutboundError) as refused, client.request("GET", f"https://{host}:{listener.port}/x"):
            pass
    assert isinstance(refused.value, AddressRefused) or "no address" in str(refused.value)
    assert listener.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.com/x", "ftp://example.com/x", "file:///etc/passwd", "gopher://127.0.0.1", "example.com"),
        *("https://example.com:8443/x", "https://example.com:22/", "https://user:pass@example.com/", "https:///x"),
        *("https://127.0.0.1\\@example.com/", "https://example.com\t/", "https://exa mple.com/", "//example.com/x"),
        *("https://example.com:99999/", "https://[::1/", "https://" + "a" * 3000),
    ],
)
def test_request_other_scheme_port_or_form_is_refused(url: str) -> None:
    with (
        OutboundClient(OutboundPolicy(), resolve=_resolve_nothing) as client,
        pytest.raises(AddressRefused),
        client.request("GET", url),
    ):
        pass


def _resolve_nothing(host: str, port: int) -> Sequence[IpAddress]:
    raise AssertionError(f"{host}:{port} was resolved")


def test_request_one_internal_address_among_public_ones_is_refused(listener: Listener) -> None:
    def resolve(host: str, port: int) -> Sequence[IpAddress]:
        return [ip_address("93.184.215.14"), ip_address("127.0.0.1")]

    with (
        OutboundClient(OutboundPolicy(public_port=listener.port), resolve=resolve) as client,
        pytest.raises(AddressRefused),
        client.request("GET", f"https://models.example:{listener.port}/"),
    ):
        pass
    assert listener.connections == 0


def test_request_name_that_resolves_anew_each_time_is_resolved_once(listener: Listener) -> None:
    """The first answer is listed as internal by the operator; later ones would be metadata services."""
    calls = list[str]()

    def resolve(host: str, port: int) -> Sequence[IpAddress]:
        calls.append(host)
        return [ip_address("127.0.0.1" if len(calls) == 1 else "169.254.169.254")]

    policy = OutboundPolicy(parse_listed_hosts([f"rebind.example:{listener.port}"]))
    with OutboundClient(policy, resolve=resolve) as client:
        with pytest.raises(SourceUnreachable), client.request("GET", f"http://rebind.example:{listener.port}/"):
            pass
        assert (calls, listener.connections) == (["rebind.example"], 1)
        with pytest.raises(AddressRefused), client.request("GET", f"http://rebind.example:{listener.port}/"):
            pass
    assert listener.connections == 1


@pytest.mark.parametrize(("position", "connections"), [(3, 1), (4, 0)])
def test_request_host_with_many_addresses_four_are_tried(listener: Listener, position: int, connections: int) -> None:
    """Nothing listens at the addresses before the one of the listener."""
    addresses = [ip_address(f"127.0.0.{number}") for number in range(2, 10)]
    addresses.insert(position, ip_address("127.0.0.1"))
    policy = OutboundPolicy(parse_listed_hosts([f"many.example:{listener.port}"]))
    with (
        OutboundClient(policy, resolve=lambda _host, _port: addresses) as client,
        pytest.raises(SourceUnreachable),
        client.request("GET", f"http://many.example:{listener.port}/"),
    ):
        pass
    assert listener.connections == connections


@pytest.fixture
def full_port() -> Iterator[int]:
    """The port of a listening socket that accepts nothing, and whose queue is full, so that connecting takes long."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


def test_request_addresses_that_do_not_answer_share_one_deadline(full_port: int) -> None:
    policy = OutboundPolicy(parse_listed_hosts([f"slow.example:{full_port}"]))
    limits = Limits(connect_seconds=0.2, head_seconds=0.3)
    with (
        OutboundClient(policy, limits, lambda _host, _port: [ip_address("127.0.0.1")] * 4) as client,
        pytest.raises(SourceTooSlow, match=r"within 0\.3 seconds"),
        client.request("GET", f"http://slow.example:{full_port}/"),
    ):
        pass


@pytest.mark.parametrize(
    ("address", "is_listed", "allowed"),
    [
        *(("93.184.215.14", False, True), ("2606:2800:220:1::1", False, True), ("::ffff:93.184.215.14", False, True)),
        *(("10.1.2.3", False, False), ("10.1.2.3", True, True), ("::ffff:10.1.2.3", True, True)),
        *(("169.254.169.254", True, False), ("100.100.100.200", True, False), ("fd00:ec2::254", True, False)),
        *(("fe80::1", True, False), ("224.0.0.1", True, False), ("0.0.0.0", True, False)),  # noqa: S104  # likewise
        *(("64:ff9b::5db8:d70e", False, False), ("2002:5db8:d70e::", False, False)),
    ],
)
def test_is_allowed_listed_host_may_be_internal_but_no_metadata(address: str, is_listed: bool, allowed: bool) -> None:
    assert is_allowed(ip_address(address), is_listed=is_listed) is allowed


@pytest.mark.parametrize(
    "entry",
    [
        *("", "a b", "https://x", "x/y", "user@x", "x:0x", "[::1", "x:99999"),
        *("...", ".", ".:80", "[.]", "[:]", "[1.2.3.4]", "a..b", ".a", "a..", "[::1].", "[::1.]"),
        *("a" * 64, ".".join(["a" * 62] * 4) + ".abc"),
    ],
)
def test_parse_listed_hosts_other_entry_raises(entry: str) -> None:
    with pytest.raises(ValueError, match="is not a host"):
        parse_listed_hosts([entry])


@pytest.mark.parametrize("host", ["a" * 63, ".".join(["a" * 62] * 4) + ".a", "a-b_c.example."])
def test_parse_listed_hosts_longest_name_is_taken(host: str) -> None:
    assert parse_listed_hosts([f"{host}:8080"]) == {(host.rstrip("."), 8080)}


def test_parse_listed_hosts_host_without_port_means_443() -> None:
    found = parse_listed_hosts(["Mirror.Studio.example", "10.0.0.5:8080", "[::1]:80"])
    assert found == {("mirror.studio.example", 443), ("10.0.0.5", 8080), ("::1", 80)}


def _client(*servers: LoopbackServer, limits: Limits | None = None, ticks: bool = False) -> OutboundClient:
    """Return a client that may reach these servers; with ``ticks``, each look at its clock is 10 seconds later."""
    policy = OutboundPolicy(frozenset(("127.0.0.1", server.server_port) for server in servers))
    clock = count(step=10.0)
    return OutboundClient(policy, limits, clock=(lambda: next(clock)) if ticks else time.monotonic)


def test_request_redirect_to_metadata_address_is_refused() -> None:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        send(handler, 302, headers={"Location": "https://169.254.169.254/latest/meta-data/"})

    with (
        serve(respond) as server,
        _client(server) as client,
        pytest.raises(AddressRefused),
        client.request("GET", server.address),
    ):
        pass


@pytest.mark.parametrize("location", ["http://127.0.0.1:{port}/", "//127.0.0.1:{port}/", "https://127.0.0.1:{port}/"])
def test_request_redirect_to_port_that_is_not_listed_connects_nowhere(location: str, listener: Listener) -> None:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        send(handler, 302, headers={"Location": location.format(port=listener.port)})

    with (
        serve(respond) as server,
        _client(server) as client,
        pytest.raises(AddressRefused),
        client.request("GET", server.address),
    ):
        pass
    assert listener.connections == 0


def test_request_six_redirects_are_refused_and_five_followed() -> None:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        number = int(handler.path[1:])
        send(handler, 200, b"end") if number == 0 else send(handler, 302, headers={"Location": f"/{number - 1}"})

    with serve(respond) as server, _client(server) as client:
        with client.request("GET", f"{server.address}/5") as response:
            assert response.read() == b"end"
        with pytest.raises(RedirectRefused), client.request("GET", f"{server.address}/6"):
            pass


def test_request_redirect_to_other_origin_drops_credentials_and_keeps_range() -> None:
    def storage(handler: BaseHTTPRequestHandler) -> None:
        send(handler, 200, b"file")

    with serve(storage) as target:

        def respond(handler: BaseHTTPRequestHandler) -> None:
            to = "/again" if handler.path == "/first" else f"{target.address}/file"
            send(handler, 302, headers={"Location": to, "Set-Cookie": "session=1"})

        headers = {"Authorization": "Bearer hf_secret", "Range": "bytes=2-"}
        with serve(respond) as server, _client(server, target) as client:
            with client.request("GET", f"{server.address}/first", headers) as response:
                assert response.read() == b"file"
            sent = [(path, got.get("authorization"), got["range"], got.get("cookie")) for path, got in server.requests]
    secret = "Bearer hf_secret"
    assert sent == [("/first", secret, "bytes=2-", None), ("/again", secret, "bytes=2-", None)]
    assert [(got.get("authorization"), got["range"]) for _, got in target.requests] == [(None, "bytes=2-")]


def test_request_token_is_not_sent_over_http_to_the_port_of_https() -> None:
    with serve(lambda handler: send(handler, 200)) as server:
        policy = OutboundPolicy(parse_listed_hosts(["mirror.example", f"mirror.example:{server.server_port}"]))
        tokens = {("mirror.example", port): "hf_secret" for port in (443, server.server_port)}
        with OutboundClient(policy, resolve=_resolve_loopback).with_tokens(tokens) as client:
            with client.request("GET", f"http://mirror.example:{server.server_port}/x") as response:
                assert response.token_use is TokenUse.SENT
            assert client.get_token_use(parse_url("https://mirror.example/x")) is TokenUse.SENT
            assert client.get_token_use(parse_url("http://mirror.example:443/x")) is TokenUse.NONE
    assert [got["authorization"] for _, got in server.requests] == ["Bearer hf_secret"]


def _resolve_loopback(host: str, port: int) -> Sequence[IpAddress]:
    return [ip_address("127.0.0.1")]


def test_read_document_above_limit_raises() -> None:
    with (
        serve(lambda handler: send(handler, 200, b"x" * 2000)) as server,
        _client(server, limits=Limits(document_bytes=1000)) as client,
        client.request("GET", server.address) as response,
        pytest.raises(ResponseTooLarge),
    ):
        response.read()


def test_iterate_rate_below_minimum_raises() -> None:
    with (
        serve(lambda handler: send(handler, 200, b"x" * 1_000_000)) as server,
        _client(server, limits=Limits(window_seconds=5.0, window_bytes=10_000_000), ticks=True) as client,
        client.request("GET", server.address) as response,
        pytest.raises(SourceTooSlow),
    ):
        list(response.iterate(10_000_000))


def send_slowly(handler: BaseHTTPRequestHandler) -> None:
    """Send a body of 1,000 bytes, one at a time, for ten seconds."""
    send(handler, 200, b"", {"Content-Length": "1000"})
    with suppress(OSError):
        for _ in range(1000):
            handler.wfile.write(b"x")
            pause(0.01)


def test_read_document_that_arrives_byte_by_byte_raises() -> None:
    with (
        serve(send_slowly) as server,
        _client(server, limits=Limits(document_seconds=0.3)) as client,
        client.request("GET", server.address) as response,
        pytest.raises(SourceTooSlow),
    ):
        response.read()


def test_iterate_body_that_arrives_byte_by_byte_raises_at_the_end_of_the_window() -> None:
    received: list[bytes] = []
    with (
        serve(send_slowly) as server,
        _client(server, limits=Limits(window_seconds=0.3, window_bytes=500)) as client,
        client.request("GET", server.address) as response,
        pytest.raises(SourceTooSlow),
    ):
        received.extend(response.iterate(1000))
    assert len(b"".join(received)) < 1000


def test_request_silent_source_raises() -> None:
    is_over = threading.Event()

    def wait(_handler: BaseHTTPRequestHandler) -> None:
        is_over.wait(PATIENCE_SECONDS)

    with (
        serve(wait) as server,
        _client(server, limits=Limits(read_seconds=0.1)) as client,
    ):
        with pytest.raises(SourceTooSlow), client.request("GET", server.address):
            pass
        is_over.set()


def test_request_source_that_sends_its_headers_byte_by_byte_raises() -> None:
    def send_slowly(handler: BaseHTTPRequestHandler) -> None:
        with suppress(OSError):
            for _ in range(1000):
                handler.wfile.write(b"H")
                pause(0.01)

    with (
        serve(send_slowly) as server,
        _client(server, limits=Limits(head_seconds=0.3)) as client,
        pytest.raises(SourceTooSlow),
        client.request("GET", server.address),
    ):
        pass


def test_request_environment_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with (
        serve(lambda handler: send(handler, 200, b"direct")) as server,
        _client(server) as client,
        client.request("GET", server.address) as response,
    ):
        assert response.read() == b"direct"
