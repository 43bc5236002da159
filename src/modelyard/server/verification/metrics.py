"""Gauges of verification, read from the database at each scrape."""

from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import case, func, select

from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import Database
from modelyard.server.uploads.tables import PENDING, UNHASHED, UNINSPECTED, BlobRow
from modelyard.wire.problems import Problem


class _Counts(NamedTuple):
    """Numbers of blobs in a state."""

    pending: int
    failed: int
    recheck: int
    unhashed: int
    uninspected: int
    inspection_failed: int


class VerificationMetrics(Collector):
    """Gauges that are equal on every server of a registry; none is reported while the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Yield the families without a query, for registration."""
        yield from self._build_families(_Counts(0, 0, 0, 0, 0, 0), 0.0)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Query the database and yield the gauges; none if it does not answer."""
        try:
            with self._database.reading() as session:
                # The age is that of the queue: a file whose inspection fails has a gauge of its own.
                queued_at = case((BlobRow.verification_error.is_(None), BlobRow.created_at))
                waiting = select(func.count(), func.min(queued_at)).where(PENDING)
                pending, oldest = session.execute(waiting).one()
                moment = get_database_time(session)
                others = (
                    session.scalar(select(func.count()).select_from(BlobRow).where(condition)) or 0
                    for condition in (
                        *(BlobRow.verification == "failed", BlobRow.recheck_since.is_not(None)),
                        *(UNHASHED, UNINSPECTED, PENDING & BlobRow.verification_error.is_not(None)),
                    )
                )
                counts = _Counts(pending, *others)
        except Problem:
            return
        # The minimum of no rows is NULL.
        age = 0.0 if oldest is None else max((moment - oldest).total_seconds(), 0.0)
        yield from self._build_families(counts, age)

    def _build_families(self, counts: _Counts, oldest_pending_seconds: float) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges of the counts, and of the age of the oldest pending blob."""
        yield GaugeMetricFamily("modelyard_pending_files", "Files that wait to be verified.", value=counts.pending)
        yield GaugeMetricFamily(
            "modelyard_oldest_pending_seconds",
            "For how long the oldest of them has waited, without those whose inspection failed.",
            value=oldest_pending_seconds,
        )
        yield GaugeMetricFamily(
            "modelyard_failed_files", "Files that are refused: wrong, missing or corrupt.", value=counts.failed
        )
        yield GaugeMetricFamily(
            "modelyard_recheck_files",
            "Verified files whose stored object has a new version and that wait to be read again.",
            value=counts.recheck,
        )
        yield GaugeMetricFamily(
            "modelyard_unhashed_files",
            "Verified files that wait to be read for the hashes AutoV3 and CRC32.",
            value=counts.unhashed,
        )
        yield GaugeMetricFamily(
            "modelyard_uninspected_files",
            "Verified files that wait to be inspected again, since this release finds more in them.",
            value=counts.uninspected,
        )
        yield GaugeMetricFamily(
            "modelyard_inspection_failed_files",
            "Files that wait because their inspection failed: a fault of the registry, whose log has the cause.",
            value=counts.inspection_failed,
        )
