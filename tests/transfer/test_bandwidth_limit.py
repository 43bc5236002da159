import pytest

from modelyard.transfer.errors import Unreachable
from modelyard.transfer.http.connection import Connection
from modelyard.transfer.options import BandwidthLimit, TransferOptions
from tests.transfer.fake_clock import FakeClock
from tests.transfer.faulty_server import FaultyServer


def test_compute_delay_is_that_of_all_counted_bytes_and_saves_no_unused_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock(monkeypatch)
    limit = BandwidthLimit(2_000_000)
    assert [limit.compute_delay(500_000) for _ in range(3)] == pytest.approx([0.25, 0.5, 0.75])
    clock.now += 10.0
    assert limit.compute_delay(500_000) == pytest.approx(0.25)


def test_read_reports_received_bytes_before_it_waits_for_the_limit(server: FaultyServer) -> None:
    server.put("/ink", b"x" * 10_000)
    connection = Connection(TransferOptions(bandwidth_limit=BandwidthLimit(1.0)))
    counts: list[int] = []

    def stop(count: int) -> None:
        counts.append(count)
        connection.stop()  # else the read ends after as many seconds as it has bytes

    with pytest.raises(Unreachable), connection.get(server.url("/ink"), {}) as response:
        connection.read(response, memoryview(bytearray(10_000)), stop)
    assert len(counts) == 1
