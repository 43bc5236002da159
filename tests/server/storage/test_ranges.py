"""Range requests compared with a simple model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.server.storage.local.ranges import UnsatisfiableRange, matches_etag, resolve_range

ETAG = '"etag"'


@given(size=st.integers(1, 50), start=st.integers(0, 60), length=st.integers(1, 60))
def test_resolve_range_start_and_end_returns_slice(size: int, start: int, length: int) -> None:
    headers = {"range": f"bytes={start}-{start + length - 1}"}
    body = bytes(range(size))
    if start >= size:
        with pytest.raises(UnsatisfiableRange):
            resolve_range(headers, size, ETAG)
    else:
        found = resolve_range(headers, size, ETAG)
        assert found.is_partial
        assert body[found.start : found.start + found.length] == body[start : start + length]


@given(size=st.integers(1, 50), count=st.integers(1, 60))
def test_resolve_range_suffix_returns_end_of_file(size: int, count: int) -> None:
    found = resolve_range({"range": f"bytes=-{count}"}, size, ETAG)
    assert (found.start, found.start + found.length) == (max(0, size - count), size)


@given(text=st.text())
def test_resolve_range_text_without_equals_sign_returns_whole_file(text: str) -> None:
    if "=" not in text:
        assert not resolve_range({"range": text}, 100, ETAG).is_partial


@pytest.mark.parametrize(
    "text", ["bytes=-", "bytes=5-3", "bytes=a-b", "items=0-1", "bytes=0-1,3-4", "bytes=+1-2", f"bytes={'9' * 5000}-"]
)
def test_resolve_range_malformed_returns_whole_file(text: str) -> None:
    assert not resolve_range({"range": text}, 100, ETAG).is_partial


def test_resolve_range_empty_file_returns_whole_file() -> None:
    assert resolve_range({"range": "bytes=0-0"}, 0, ETAG).length == 0


@pytest.mark.parametrize("condition", ['W/"etag"', '"other"', "Tue, 24 Nov 2026 16:00:00 GMT"])
def test_resolve_range_other_if_range_returns_whole_file(condition: str) -> None:
    assert not resolve_range({"range": "bytes=0-0", "if-range": condition}, 100, ETAG).is_partial
    assert resolve_range({"range": "bytes=0-0", "if-range": ETAG}, 100, ETAG).is_partial


def test_matches_etag_in_list_returns_true() -> None:
    assert matches_etag('"a", W/"etag"', ETAG)
    assert matches_etag("*", ETAG)
    assert not matches_etag('"a", "b"', ETAG)
