"""Which clients get their answers smaller."""

import pytest

from modelyard.server.packing import takes


@pytest.mark.parametrize("accepted", ["gzip", "br, GZIP", "gzip;q=1.0", "br;q=1.0, gzip; q=0.05"])
def test_who_names_a_coding_takes_it(accepted: str) -> None:
    assert takes("gzip", accepted)


@pytest.mark.parametrize("accepted", ["", "identity", "x-gzip", "gzip;q=0", "gzip; q=0.00, br"])
def test_who_does_not_or_with_no_weight_gets_it_plain(accepted: str) -> None:
    assert not takes("gzip", accepted)
