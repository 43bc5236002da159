import pytest

from modelyard.transfer.options import BandwidthLimit
from tests.transfer.fake_clock import FakeClock


def test_compute_delay_is_that_of_all_counted_bytes_and_saves_no_unused_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock(monkeypatch)
    limit = BandwidthLimit(2_000_000)
    assert [limit.compute_delay(500_000) for _ in range(3)] == pytest.approx([0.25, 0.5, 0.75])
    clock.now += 10.0
    assert limit.compute_delay(500_000) == pytest.approx(0.25)
