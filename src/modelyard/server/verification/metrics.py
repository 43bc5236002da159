"""Gauges of verification, read from the database at each scrape."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import Database
from modelyard.server.uploads.tables import PENDING, BlobRow
from modelyard.wire.problems import Problem


class VerificationMetrics(Collector):
    """Gauges that are equal on every server of a registry; none is reported while the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Yield the families without a query, for registration."""
        yield from self._build_families(0, 0, 0, 0.0)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Query the database and yield the gauges; none if it does not answer."""
        try:
            with self._database.reading() as session:
                waiting = select(func.count(), func.min(BlobRow.created_at)).where(PENDING)
                pending, oldest = session.execute(waiting).one()
                moment = get_database_time(session)
                failed = session.scalar(select(func.count()).where(BlobRow.verification == "failed")) or 0
                recheck = session.scalar(select(func.count()).where(BlobRow.recheck_since.is_not(None))) or 0
        except Problem:
            return
        # The minimum of no rows is NULL.
        age = max((moment - oldest).total_seconds(), 0.0) if pending else 0.0
        yield from self._build_families(pending, failed, recheck, age)

    def _build_families(
        self, pending: int, failed: int, recheck: int, oldest_pending_seconds: float
    ) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges of pending, failed and to-be-rechecked blobs, and the age of the oldest pending one."""
        yield GaugeMetricFamily("modelyard_pending_files", "Files that wait to be verified.", value=pending)
        yield GaugeMetricFamily(
            "modelyard_oldest_pending_seconds",
            "For how long the oldest of them has waited.",
            value=oldest_pending_seconds,
        )
        yield GaugeMetricFamily(
            "modelyard_failed_files", "Files that are refused: wrong, missing or corrupt.", value=failed
        )
        yield GaugeMetricFamily(
            "modelyard_recheck_files",
            "Verified files whose stored object has a new version and that wait to be read again.",
            value=recheck,
        )
