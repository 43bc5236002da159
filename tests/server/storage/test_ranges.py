"""Ranges against a plain model of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.server.storage.ranges import Unsatisfiable, extent, names_etag

ETAG = '"etag"'


@given(size=st.integers(1, 50), start=st.integers(0, 60), length=st.integers(1, 60))
def test_a_range_is_a_slice(size: int, start: int, length: int) -> None:
    headers = {"range": f"bytes={start}-{start + length - 1}"}
    body = bytes(range(size))
    if start >= size:
        with pytest.raises(Unsatisfiable):
            extent(headers, size, ETAG)
    else:
        found = extent(headers, size, ETAG)
        assert found.is_partial
        assert body[found.start : found.start + found.length] == body[start : start + length]


@given(size=st.integers(1, 50), count=st.integers(1, 60))
def test_a_suffix_is_the_end(size: int, count: int) -> None:
    found = extent({"range": f"bytes=-{count}"}, size, ETAG)
    assert (found.start, found.start + found.length) == (max(0, size - count), size)


@given(text=st.text())
def test_nonsense_gets_the_whole_file(text: str) -> None:
    if "=" not in text:
        assert not extent({"range": text}, 100, ETAG).is_partial


@pytest.mark.parametrize(
    "text", ["bytes=-", "bytes=5-3", "bytes=a-b", "items=0-1", "bytes=0-1,3-4", "bytes=+1-2", f"bytes={'9' * 5000}-"]
)
def test_a_malformed_range_is_ignored(text: str) -> None:
    assert not extent({"range": text}, 100, ETAG).is_partial


def test_an_empty_file_has_no_ranges() -> None:
    assert extent({"range": "bytes=0-0"}, 0, ETAG).length == 0


@pytest.mark.parametrize("condition", ['W/"etag"', '"other"', "Tue, 24 Nov 2026 16:00:00 GMT"])
def test_if_range_wants_this_strong_etag(condition: str) -> None:
    assert not extent({"range": "bytes=0-0", "if-range": condition}, 100, ETAG).is_partial
    assert extent({"range": "bytes=0-0", "if-range": ETAG}, 100, ETAG).is_partial


def test_an_etag_is_found_in_a_list() -> None:
    assert names_etag('"a", W/"etag"', ETAG)
    assert names_etag("*", ETAG)
    assert not names_etag('"a", "b"', ETAG)
