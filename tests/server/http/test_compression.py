"""Compression of responses."""

import gzip
import random

import pytest

from modelyard.server.http.compression import accepts_encoding, gzip_with_end


@pytest.mark.parametrize("accepted", ["gzip", "br, GZIP", "gzip;q=1.0", "br;q=1.0, gzip; q=0.05"])
def test_accepts_encoding_named_coding_returns_true(accepted: str) -> None:
    assert accepts_encoding("gzip", accepted)


@pytest.mark.parametrize("accepted", ["", "identity", "x-gzip", "gzip;q=0", "gzip; q=0.00, br"])
def test_accepts_encoding_missing_or_zero_weight_returns_false(accepted: str) -> None:
    assert not accepts_encoding("gzip", accepted)


@pytest.mark.parametrize("start", [b"", b"[1", random.Random(1).randbytes(200_000)], ids=["empty", "short", "long"])
def test_gzip_with_end_has_the_whole_text_and_takes_another_end(start: bytes) -> None:
    text = gzip_with_end(start, b",2]")
    other = text.replace_end(b",2,3]" * 1000)
    assert gzip.decompress(text.compressed) == start + b",2]"
    assert gzip.decompress(other) == start + b",2,3]" * 1000
    assert other.startswith(text.compressed[: text.start_length])
