"""A registry whose imports run only when a test runs them."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select, update

from modelyard.server.database.session import Database
from modelyard.server.http.middleware.metrics import Metrics
from modelyard.server.imports.runs.importer import Importer
from modelyard.server.imports.sources.lookup import open_sources
from modelyard.server.imports.tables import ImportRow, SourceCheckRunRow
from modelyard.server.models.objects.checks import ObjectChecks
from modelyard.server.outbound.client import Limits
from tests.server.harness import Harness


def delete_idle_imports(database: Database) -> list[UUID]:
    """Delete the imports of all teams that do not run, and return those that run."""
    with database.writing() as session:
        session.execute(delete(ImportRow).where(ImportRow.lease.is_(None)))
        return list(session.scalars(select(ImportRow.id)))


class Stopped:
    """A new team in a registry without jobs, and importers that a test runs by hand, each like a process of its own.

    These run the imports of all teams, so those of earlier tests are deleted, like their source checks.
    """

    def __init__(self, registry: Harness) -> None:
        self.registry, self.resources = registry, registry.resources
        with self.resources.database.writing() as session:
            session.execute(delete(ImportRow))
            session.execute(delete(SourceCheckRunRow))
        self.owner = registry.create_team()

    def create_importer(
        self, life: timedelta = timedelta(minutes=2), *, workers: int = 2, is_alone: bool = False
    ) -> Importer:
        resources = self.resources
        settings = resources.settings.model_copy(update={"import_workers": workers})
        objects = ObjectChecks(resources.database, resources.store, Metrics(), resources.recheck_requests)
        return Importer(objects, settings, open_sources(settings, Limits()), resources.cipher, life, is_alone=is_alone)

    def expire_leases(self) -> None:
        """Let all leases and pauses expire."""
        with self.resources.database.writing() as session:
            session.execute(update(ImportRow).values(leased_until=None, held_until=None))

    def break_requests(self) -> None:
        """Store what no request has, so that each run fails in an unexpected way."""
        with self.resources.database.writing() as session:
            for row in session.scalars(select(ImportRow)):
                row.request = row.request | {"file_size": "five"}
