"""TLS and proxies."""

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from modelyard.transfer import route
from modelyard.transfer.connection import Request
from modelyard.transfer.download import Wanted, fetch
from modelyard.transfer.failures import TransferFailed
from modelyard.transfer.network import Network
from modelyard.transfer.progress import unheard
from modelyard.transfer.upload import send_whole
from tests.transfer.misbehaving import MisbehavingServer


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a self-signed certificate of 127.0.0.1, made now, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    made = tmp_path / "tls.pem"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(made)]
    name = ["-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1", "-out", str(tmp_path / "certificate")]
    subprocess.run(["openssl", "req", "-x509", *key, *name], check=True, capture_output=True)
    made.write_bytes(made.read_bytes() + (tmp_path / "certificate").read_bytes())
    return made


@pytest.fixture
def tls_server(certificate: Path) -> MisbehavingServer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return MisbehavingServer(tls=context)


def _trusting(certificate: Path) -> Network:
    return Network(range_size=300_000, tls=ssl.create_default_context(cafile=str(certificate)))


def test_a_file_travels_over_tls_in_both_directions(
    tls_server: MisbehavingServer, certificate: Path, file: Path, tmp_path: Path
) -> None:
    async def source() -> str:
        return tls_server.url("/key")

    async def work() -> None:
        await send_whole(file, Request(tls_server.url("/key"), {}), unheard, network=_trusting(certificate))
        digest = tls_server.etags["/key"].strip('"')
        wanted = Wanted(1_000_000, digest, tmp_path / "back")
        await fetch(source, wanted, unheard, network=_trusting(certificate))

    asyncio.run(work())

    assert (tmp_path / "back").read_bytes() == file.read_bytes()


def test_a_stranger_s_certificate_is_refused_at_once(tls_server: MisbehavingServer, file: Path) -> None:
    with pytest.raises(TransferFailed, match="is not trusted"):
        asyncio.run(send_whole(file, Request(tls_server.url("/key"), {}), unheard))
    assert tls_server.objects == {}


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://me:pass%20word@proxy.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")


def test_a_plain_request_goes_to_the_proxy_with_the_whole_url(proxied: None) -> None:
    url = urlsplit("http://store.example/key?x=1")
    link = route.link(url, Network())

    assert (link.host, link.port) == ("proxy.example", 3128)
    assert route.target(link, url) == "http://store.example/key?x=1"


def test_a_tls_request_goes_through_a_tunnel(proxied: None) -> None:
    url = urlsplit("https://store.example/key?x=1")
    link = route.link(url, Network())

    assert (link.host, link.port) == ("proxy.example", 3128)
    assert route.target(link, url) == "/key?x=1"


@pytest.mark.parametrize("host", ["inside.example", "localhost", "127.0.0.1", "[::1]"])
def test_these_are_reached_straight(proxied: None, host: str) -> None:
    url = urlsplit(f"http://{host}:8080/key")
    link = route.link(url, Network())

    assert link.host == url.hostname
    assert route.target(link, url) == "/key"


def test_an_uploaded_file_really_passes_the_proxy(
    server: MisbehavingServer, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.base)
    monkeypatch.delenv("no_proxy", raising=False)

    asyncio.run(send_whole(file, Request("http://store.example/key", {}), unheard))

    assert server.objects["/key"] == file.read_bytes()
    assert server.seen[0].headers["host"] == "store.example"
