"""Validation of web addresses from outside, with property tests of what reaches `urlsplit` and IDNA."""

import os
from contextlib import suppress
from unittest.mock import patch
from urllib.parse import SplitResult

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelyard.client.api.urls import AddressRefused, check_download_url, normalize_url
from modelyard.server.settings import Settings
from modelyard.transfer.errors import BadAddress, BadResponse
from modelyard.transfer.http import proxy
from modelyard.transfer.options import DEFAULT_OPTIONS
from modelyard.wire.texts.web_addresses import AddressInvalid, parse_address

pytestmark = pytest.mark.slow

UNUSABLE = {
    "bracket": "http://[::1",
    "bracket-and-port": "http://[::1]:x/",
    "port": "http://127.0.0.1:99999/",
    "port-zero": "http://127.0.0.1:0/",
    "label": f"http://{'a' * 64}.example/",
    "empty-label": "http://a..example/",
    "normal-form": "http://\u2100.example/",
    "line-end": "http://127.0.0.1\n.example/",
    "idna-gives-a-blank": "https://xn--\u2002-xbb",
    "nul": "http://\0/",
    "no-host": "http:///file",
    "scheme": "ftp://127.0.0.1/",
    "no-scheme": "127.0.0.1",
    "empty": "",
}
_PIECES = st.sampled_from(
    (
        *("http://", "https://", "ftp:", "//", "[", "]", "::1", "fe80::1%eth0", ":", "@", "/", "?", "#", "\\", ".."),
        *("127.0.0.1", "a" * 64, "xn--", "\u2603", "\u2100", "\u00df", "\u3002", "99999", "-1", "%00", " ", "\n", "\0"),
    )
)
addresses = st.lists(_PIECES | st.text(max_size=6), max_size=8).map("".join)


@pytest.mark.parametrize("url", UNUSABLE.values(), ids=UNUSABLE)
def test_parse_address_unusable_raises_address_invalid(url: str) -> None:
    with pytest.raises(AddressInvalid):
        parse_address(url)


def test_parse_address_international_host_returns_idna_form() -> None:
    assert parse_address("http://me@m\u00fcller.example:8400/x").netloc == "me@xn--mller-kva.example:8400"


def test_parse_address_error_names_host_and_hides_login_and_query() -> None:
    with pytest.raises(AddressInvalid) as refused:
        parse_address("http://me:secret@[::1/b/key?X-Amz-Signature=secret")

    assert "'[::1'" in str(refused.value)
    assert "secret" not in str(refused.value)


@example("http://[::1")
@example(f"http://{'a' * 64}.example")
@given(addresses)
def test_parse_address_any_text_is_usable_or_raises_documented_error(text: str) -> None:
    with suppress(AddressRefused):
        normalize_url(text)
    with suppress(BadAddress, BadResponse):
        check_download_url(text, "https://models.example")
    with suppress(BadAddress):
        _assert_encodable(proxy.parse_transfer_url(text))
    with suppress(ValueError):  # pydantic's; the operator reads it at the start
        Settings(storage_endpoint=text, public_url=text)


@example("http://[::1")
@given(addresses.filter(lambda text: "\0" not in text and "\ud800" not in text))
def test_create_connection_any_proxy_variable_is_usable_or_raises_bad_address(text: str) -> None:
    named = {"http_proxy": text, "https_proxy": text, "no_proxy": ""}
    with patch.dict(os.environ, named), suppress(BadAddress):
        proxy.create_connection(proxy.parse_transfer_url("https://store.example/key"), DEFAULT_OPTIONS)


def test_create_connection_unusable_proxy_error_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://[::1")

    with pytest.raises(BadAddress, match="HTTP_PROXY"):
        proxy.create_connection(proxy.parse_transfer_url("http://store.example/key"), DEFAULT_OPTIONS)


def _assert_encodable(parts: SplitResult) -> None:
    """Assert that the parts can be encoded in the request line and the Host header."""
    f"{parts.netloc}{parts.path}?{parts.query}".encode("ascii")
    assert parts.hostname
    assert parts.port is None or 0 < parts.port < 65536
