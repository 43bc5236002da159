from uuid import UUID

import pytest

from modelyard.client.api.urls import (
    AddressRefused,
    build_path,
    check_download_url,
    is_unencrypted_remote,
    normalize_url,
)
from modelyard.transfer.errors import BadResponse
from modelyard.wire import problems


@pytest.mark.parametrize(
    "typed",
    ["http://models.example:8400", "http://models.example:8400/", " http://models.example:8400/api/v1/ "],
)
def test_normalize_url_removes_blanks_trailing_slash_and_api_prefix(typed: str) -> None:
    assert normalize_url(typed) == "http://models.example:8400"


@pytest.mark.parametrize(
    "typed",
    [
        "models.example",
        "ftp://models.example",
        "http://",
        "http://a:b@models.example",
        "http://x/?q=1",
        "http://x:99999",
    ],
)
def test_normalize_url_invalid_address_raises_address_refused(typed: str) -> None:
    with pytest.raises(AddressRefused):
        normalize_url(typed)


@pytest.mark.parametrize(
    ("url", "is_open"),
    [
        ("http://10.0.0.5:8400", True),
        ("http://models.example", True),
        ("https://models.example", False),
        ("http://127.0.0.1:8400", False),
        ("http://localhost:8400", False),
        ("http://[::1]:8400", False),
    ],
)
def test_is_unencrypted_remote_is_true_for_http_to_other_computers(url: str, is_open: bool) -> None:
    assert is_unencrypted_remote(url) is is_open


@pytest.mark.parametrize(
    ("url", "registry"),
    [
        ("http://127.0.0.1:8400/blobs/x", "http://127.0.0.1:8400"),
        ("https://s3.example/b/x?sig=1", "https://models.example"),
        ("https://s3.example/b/x", "http://127.0.0.1:8400"),
    ],
)
def test_check_download_url_as_secure_as_registry_is_returned_unchanged(url: str, registry: str) -> None:
    assert check_download_url(url, registry) == url


def test_check_download_url_http_from_https_registry_raises_bad_response() -> None:
    with pytest.raises(BadResponse, match="plain http"):
        check_download_url("http://s3.example/b/x", "https://models.example")


def test_build_path_encodes_each_segment() -> None:
    model_id = UUID("0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10")
    assert build_path("agents", "a/b?c#d %..", "models", model_id) == f"/agents/a%2Fb%3Fc%23d%20%25../models/{model_id}"


def test_build_path_names_with_dots_are_kept() -> None:
    assert build_path("agents", "...", "v1.2", "sha256:00", 3) == "/agents/.../v1.2/sha256:00/3"


@pytest.mark.parametrize("segment", ["", ".", ".."])
def test_build_path_of_another_call_raises_invalid_request(segment: str) -> None:
    with pytest.raises(problems.InvalidRequest):
        build_path("agents", segment, "models", "x")
