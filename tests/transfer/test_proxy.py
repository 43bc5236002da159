"""Transfers over TLS and through proxies."""

import asyncio
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from modelyard.transfer.download.download import DownloadTarget, download_file
from modelyard.transfer.errors import TransferFailed
from modelyard.transfer.http import proxy
from modelyard.transfer.http.connection import Request
from modelyard.transfer.options import TransferOptions
from modelyard.transfer.progress import ignore_progress
from modelyard.transfer.upload import upload_whole
from tests.certificates import make_certificate
from tests.transfer.faulty_server import FaultyServer


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Create a file with a key and a self-signed certificate for 127.0.0.1."""
    return make_certificate(tmp_path, "IP:127.0.0.1")


@pytest.fixture
def tls_server(certificate: Path) -> FaultyServer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return FaultyServer(tls=context)


def _build_options_trusting(certificate: Path) -> TransferOptions:
    return TransferOptions(range_size=300_000, tls=ssl.create_default_context(cafile=str(certificate)))


def test_upload_and_download_over_tls_succeed(
    tls_server: FaultyServer, certificate: Path, file: Path, tmp_path: Path
) -> None:
    async def source() -> str:
        return tls_server.url("/key")

    async def work() -> None:
        await upload_whole(
            file, Request(tls_server.url("/key"), {}), ignore_progress, options=_build_options_trusting(certificate)
        )
        digest = tls_server.etags["/key"].strip('"')
        desired = DownloadTarget(1_000_000, digest, tmp_path / "back")
        await download_file(source, desired, ignore_progress, options=_build_options_trusting(certificate))

    asyncio.run(work())

    assert (tmp_path / "back").read_bytes() == file.read_bytes()


def test_upload_untrusted_certificate_fails_without_retry(tls_server: FaultyServer, file: Path) -> None:
    with pytest.raises(TransferFailed, match="is not trusted"):
        asyncio.run(upload_whole(file, Request(tls_server.url("/key"), {}), ignore_progress))
    assert tls_server.objects == {}


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://me:pass%20word@proxy.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")


def test_create_connection_http_url_uses_proxy_with_whole_url(proxied: None) -> None:
    url = urlsplit("http://store.example/key?x=1")
    http = proxy.create_connection(url, TransferOptions())

    assert (http.host, http.port) == ("proxy.example", 3128)
    assert proxy.build_request_target(http, url) == "http://store.example/key?x=1"


def test_create_connection_https_url_uses_proxy_tunnel(proxied: None) -> None:
    url = urlsplit("https://store.example/key?x=1")
    http = proxy.create_connection(url, TransferOptions())

    assert (http.host, http.port) == ("proxy.example", 3128)
    assert proxy.build_request_target(http, url) == "/key?x=1"


@pytest.mark.parametrize("host", ["inside.example", "localhost", "127.0.0.1", "[::1]"])
def test_create_connection_excluded_host_is_reached_directly(proxied: None, host: str) -> None:
    url = urlsplit(f"http://{host}:8080/key")
    http = proxy.create_connection(url, TransferOptions())

    assert http.host == url.hostname
    assert proxy.build_request_target(http, url) == "/key"


def test_upload_with_http_proxy_sends_through_proxy(
    server: FaultyServer, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.base)
    monkeypatch.delenv("no_proxy", raising=False)

    asyncio.run(upload_whole(file, Request("http://store.example/key", {}), ignore_progress))

    assert server.objects["/key"] == file.read_bytes()
    assert server.seen[0].headers["host"] == "store.example"
