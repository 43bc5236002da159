"""Which clients get their answers smaller."""

import pytest

from modelyard.server.http.compression import accepts_encoding


@pytest.mark.parametrize("accepted", ["gzip", "br, GZIP", "gzip;q=1.0", "br;q=1.0, gzip; q=0.05"])
def test_accepts_encoding_named_coding_returns_true(accepted: str) -> None:
    assert accepts_encoding("gzip", accepted)


@pytest.mark.parametrize("accepted", ["", "identity", "x-gzip", "gzip;q=0", "gzip; q=0.00, br"])
def test_accepts_encoding_missing_or_zero_weight_returns_false(accepted: str) -> None:
    assert not accepts_encoding("gzip", accepted)
