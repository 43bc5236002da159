"""A registry whose imports run only when a test runs them."""

from datetime import timedelta

from sqlalchemy import select, update

from modelyard.server.http.middleware.metrics import Metrics
from modelyard.server.imports.importer import Importer
from modelyard.server.imports.sources.lookup import open_sources
from modelyard.server.imports.tables import ImportRow
from modelyard.server.models.objects.checks import ObjectChecks
from modelyard.server.outbound.client import Limits
from modelyard.server.resources import Resources
from tests.server.harness import Harness


class Stopped:
    """A registry without jobs, and importers that a test runs by hand, each like a process of its own."""

    def __init__(self, registry: Harness, resources: Resources) -> None:
        self.registry, self.resources = registry, resources

    def create_importer(self, life: timedelta = timedelta(minutes=2)) -> Importer:
        resources = self.resources
        objects = ObjectChecks(resources.database, resources.store, Metrics(), resources.recheck_requests)
        return Importer(objects, resources.settings, open_sources(resources.settings, Limits()), resources.cipher, life)

    def expire_leases(self) -> None:
        """Let all leases and pauses expire."""
        with self.resources.database.writing() as session:
            session.execute(update(ImportRow).values(leased_until=None))

    def break_requests(self) -> None:
        """Store what no request has, so that each run fails in an unexpected way."""
        with self.resources.database.writing() as session:
            for row in session.scalars(select(ImportRow)):
                row.request = row.request | {"file_size": "five"}
