"""Gauges of the search for pictures in files, read from the database at each scrape."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import Database
from modelyard.server.models.tables import UNPREVIEWED, ModelVersionRow
from modelyard.wire.problems import Problem


class PreviewMetrics(Collector):
    """Gauges that are equal on every server of a registry; none is reported while the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Yield the families without a query, for registration."""
        yield from _build_families(0, 0.0)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Query the database and yield the gauges; none if it does not answer."""
        try:
            with self._database.reading() as session:
                waiting = select(func.count(), func.min(ModelVersionRow.verified_at)).where(UNPREVIEWED)
                count, oldest = session.execute(waiting).one()
                moment = get_database_time(session)
        except Problem:
            return
        yield from _build_families(count, max((moment - oldest).total_seconds(), 0.0) if oldest else 0.0)


def _build_families(count: int, oldest_seconds: float) -> Iterator[GaugeMetricFamily]:
    """Yield the gauges of the queue's length and age."""
    yield GaugeMetricFamily(
        "modelyard_unsearched_previews", "Verified versions whose file waits to be searched for a picture.", value=count
    )
    yield GaugeMetricFamily(
        "modelyard_oldest_unsearched_preview_seconds",
        "For how long the oldest of them has been verified.",
        value=oldest_seconds,
    )
