"""How much waits to be read and how much has failed, as the database has it when somebody asks."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from modelyard.server.database.clock import database_now
from modelyard.server.database.session import Database
from modelyard.server.uploads.tables import PENDING, BlobRow
from modelyard.wire.problems import Problem


class VerificationGauges(Collector):
    """Each is the same from every server of a registry; none of them where the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """The names, without asking the database."""
        yield from self._families(0, 0, 0.0)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            with self._database.reading() as session:
                waiting = select(func.count(), func.min(BlobRow.created_at)).where(PENDING)
                pending, oldest = session.execute(waiting).one()
                moment = database_now(session)
                failed = session.scalar(select(func.count()).where(BlobRow.verification == "failed")) or 0
        except Problem:
            return
        # The least of nothing is nothing.
        yield from self._families(pending, failed, max((moment - oldest).total_seconds(), 0.0) if pending else 0.0)

    def _families(self, pending: int, failed: int, age: float) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily("modelyard_pending_files", "Files that wait to be verified.", value=pending)
        yield GaugeMetricFamily(
            "modelyard_oldest_pending_seconds", "For how long the oldest of them has waited.", value=age
        )
        yield GaugeMetricFamily(
            "modelyard_failed_files", "Files that are refused: wrong, gone or rotten.", value=failed
        )
