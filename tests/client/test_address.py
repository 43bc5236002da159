import pytest

from modelyard.client.address import AddressRefused, checked_download, checked_url, is_open_to_listeners
from modelyard.transfer.failures import BadAnswer


@pytest.mark.parametrize(
    "typed",
    ["http://models.example:8400", "http://models.example:8400/", " http://models.example:8400/api/v1/ "],
)
def test_what_people_paste_along_is_dropped(typed: str) -> None:
    assert checked_url(typed) == "http://models.example:8400"


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
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(AddressRefused):
        checked_url(typed)


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
def test_plain_http_beyond_this_machine_is_open_to_listeners(url: str, is_open: bool) -> None:
    assert is_open_to_listeners(url) is is_open


@pytest.mark.parametrize(
    ("url", "registry"),
    [
        ("http://127.0.0.1:8400/blobs/x", "http://127.0.0.1:8400"),
        ("https://s3.example/b/x?sig=1", "https://models.example"),
        ("https://s3.example/b/x", "http://127.0.0.1:8400"),
    ],
)
def test_bytes_are_fetched_where_the_registry_says(url: str, registry: str) -> None:
    assert checked_download(url, registry) == url


def test_a_registry_by_https_sends_nobody_to_plain_http() -> None:
    with pytest.raises(BadAnswer, match="plain http"):
        checked_download("http://s3.example/b/x", "https://models.example")
