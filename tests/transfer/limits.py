"""Bandwidth limits of which tests see what was counted, or that tests lift."""

import threading

from modelyard.transfer.options import BandwidthLimit


class RecordingLimit(BandwidthLimit):
    """A limit whose ``counts`` are the numbers of transferred bytes, one for each call."""

    def __init__(self, bytes_per_second: float) -> None:
        super().__init__(bytes_per_second)
        self.counts: list[int] = []

    def compute_delay(self, count: int) -> float:
        self.counts.append(count)
        return super().compute_delay(count)


class StoppingLimit(RecordingLimit):
    """A limit that makes each connection wait for hours after its first bytes."""

    def __init__(self) -> None:
        super().__init__(8_000)
        self.waiting = set[int]()

    def compute_delay(self, count: int) -> float:
        super().compute_delay(count)
        self.waiting.add(threading.get_ident())
        return 36_000.0


class LiftableLimit(BandwidthLimit):
    """A limit at which a transfer takes minutes, until it is lifted."""

    def __init__(self) -> None:
        super().__init__(5_000)

    def lift(self) -> None:
        self._rate = 1e12
