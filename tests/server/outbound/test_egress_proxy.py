"""Outbound requests through the operator's proxy, a small CONNECT proxy on loopback."""

import ssl
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from pydantic import ValidationError

from modelyard.server.imports.sources.lookup import find_model, open_sources
from modelyard.server.outbound.addresses import IpAddress
from modelyard.server.outbound.client import Limits, OutboundClient
from modelyard.server.outbound.errors import AddressRefused, ProxyRefused, SourceTooSlow, SourceUnreachable
from modelyard.server.outbound.policy import OutboundPolicy, parse_listed_hosts
from modelyard.server.settings import Settings
from tests.certificates import make_certificate
from tests.server.outbound.connect_proxy import ConnectProxy
from tests.server.outbound.loopback import LoopbackServer, send, serve
from tests.server.outbound.test_outbound import LOOPBACK, METADATA
from tests.waiting import wait_until


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A file with a key and a self-signed certificate of models.example."""
    return make_certificate(tmp_path, "DNS:models.example")


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    """A server that redirects ``/inside`` to a metadata service."""

    def respond(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/inside":
            send(handler, 302, b"", {"Location": "https://169.254.169.254/latest"})
        else:
            send(handler, body=b"content", headers={"Content-Type": "application/octet-stream"})

    with serve(respond) as server:
        yield server


@pytest.fixture
def tls(server: LoopbackServer, certificate: Path) -> ssl.SSLContext:
    """Let the server be models.example, and return a context that trusts it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return ssl.create_default_context(cafile=str(certificate))


@pytest.fixture
def proxy(server: LoopbackServer) -> Iterator[ConnectProxy]:
    proxy = ConnectProxy(server.server_port)
    yield proxy
    proxy.close()


def refuse_to_resolve(host: str, port: int) -> list[IpAddress]:
    raise AssertionError(f"{host}:{port} was resolved by the registry.")


def build_client(proxy: ConnectProxy, listed: Sequence[str] = (), tls: ssl.SSLContext | None = None) -> OutboundClient:
    policy = OutboundPolicy(parse_listed_hosts(listed))
    return OutboundClient(policy, Limits(), refuse_to_resolve, tls, proxy=proxy.address)


def test_request_through_proxy_opens_a_tunnel_to_the_name(
    server: LoopbackServer, proxy: ConnectProxy, tls: ssl.SSLContext
) -> None:
    client = build_client(proxy, tls=tls).with_tokens({("models.example", 443): "secret"})
    with client, client.request("GET", "https://models.example/ink") as response:
        assert response.read() == b"content"
    assert proxy.asked == ["CONNECT models.example:443"]
    [(path, headers)] = server.requests
    assert (path, headers["host"], headers["authorization"]) == ("/ink", "models.example", "Bearer secret")


def test_request_through_proxy_to_server_with_other_certificate_fails(proxy: ConnectProxy, tls: ssl.SSLContext) -> None:
    with build_client(proxy, tls=tls) as client:  # noqa: SIM117  # the client outlives it
        with pytest.raises(SourceUnreachable), client.request("GET", "https://other.example/ink"):
            pass
    assert proxy.asked == ["CONNECT other.example:443"]


def test_request_through_proxy_redirect_to_metadata_service_is_refused(
    proxy: ConnectProxy, tls: ssl.SSLContext
) -> None:
    with build_client(proxy, tls=tls) as client:  # noqa: SIM117  # the client outlives it
        with pytest.raises(AddressRefused), client.request("GET", "https://models.example/inside"):
            pass
    assert proxy.asked == ["CONNECT models.example:443"]


INTERNAL = ["mirror", "nas.local", "metadata.google.internal", "nas.home.arpa", "a.localhost.", "api.team.svc"]
INTERNAL += ["nas.lan", "wiki.intranet", "mail.corp", "nas.home", "a.localdomain", "a.internal."]
# A proxy may decode these.
ENCODED = ["127.0.0.%31", "8.8.8.8%31", "metadata.google.interna%6c", "a.loca%6c", "host.docker.internal%20", "a.b%2e"]


@pytest.mark.parametrize("host", [*LOOPBACK, *METADATA, *INTERNAL, *ENCODED])
def test_request_through_proxy_to_internal_host_is_refused(proxy: ConnectProxy, host: str) -> None:
    with build_client(proxy) as client, pytest.raises(AddressRefused), client.request("GET", f"https://{host}/x"):
        pass
    assert proxy.asked == []


@pytest.mark.parametrize("url", ["http://models.example/x", "https://models.example:8443/x", "ftp://models.example/x"])
def test_request_through_proxy_other_scheme_or_port_is_refused(proxy: ConnectProxy, url: str) -> None:
    with build_client(proxy) as client, pytest.raises(AddressRefused), client.request("GET", url):
        pass
    assert proxy.asked == []


def test_request_through_proxy_to_listed_metadata_service_is_refused(proxy: ConnectProxy) -> None:
    with build_client(proxy, ["169.254.169.254"]) as client:  # noqa: SIM117  # the client outlives it
        with pytest.raises(AddressRefused), client.request("GET", "https://169.254.169.254/x"):
            pass


@pytest.mark.parametrize("host", ["mirror:8080", "nas.local:8080", "10.0.0.5:8080"])
def test_request_through_proxy_to_listed_host_over_http_is_sent_to_the_proxy(proxy: ConnectProxy, host: str) -> None:
    with build_client(proxy, [host]) as client, client.request("GET", f"http://{host}/ink") as response:
        assert response.read() == b"content"
    assert proxy.asked == [f"GET http://{host}/ink"]


def test_request_refused_by_the_proxy_says_so(proxy: ConnectProxy) -> None:
    proxy.status = b"403 Forbidden"
    with build_client(proxy) as client:  # noqa: SIM117  # the client outlives it
        with pytest.raises(ProxyRefused, match=r"proxy .* refuses"), client.request("GET", "https://models.example/i"):
            pass


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "502 Bad Gateway", "503 Unavailable"])
def test_request_that_the_proxy_cannot_send_raises_source_unreachable(proxy: ConnectProxy, status: str) -> None:
    proxy.status = status.encode()
    with build_client(proxy) as client:  # noqa: SIM117  # the client outlives it
        with pytest.raises(SourceUnreachable, match="proxy"), client.request("GET", "https://models.example/ink"):
            pass


def test_request_through_proxy_that_never_answers_ends_in_time(proxy: ConnectProxy) -> None:
    proxy.answers = False
    client = OutboundClient(OutboundPolicy(), Limits(head_seconds=1.0), refuse_to_resolve, proxy=proxy.address)
    with client, pytest.raises(SourceTooSlow), client.request("GET", "https://models.example/ink"):
        pass
    # Its thread may note that later than the client ends.
    wait_until(lambda: proxy.asked)
    assert proxy.asked == ["CONNECT models.example:443"]


def test_open_sources_with_egress_proxy_looks_links_up_through_it(proxy: ConnectProxy) -> None:
    settings = Settings(egress_proxy=proxy.address, import_hosts=("mirror:8080",))
    found = find_model(open_sources(settings), "http://mirror:8080/ink.safetensors")
    assert found.file.size == len(b"content")
    assert proxy.asked == ["HEAD http://mirror:8080/ink.safetensors"]


@pytest.mark.parametrize(
    "text", ["https://proxy.example:3128", "http://proxy.example", "http://me:secret@proxy:1", "x"]
)
def test_settings_egress_proxy_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="egress_proxy"):
        Settings(egress_proxy=text)
