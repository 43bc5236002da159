"""A registry with one team of generated models, in this process, on SQLite or PostgreSQL."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from bench import generated_models
from modelyard.server.database.session import Database
from modelyard.server.identity.authentication import Caller
from modelyard.server.identity.state import Identity
from modelyard.server.resources import open_resources
from modelyard.server.settings import Settings
from modelyard.server.teams.context import TeamContext
from modelyard.wire.people.roles import Role
from tests.server.harness import Harness

CreateDatabase = Callable[[], AbstractContextManager[str | None]]


class FilledTeam(NamedTuple):
    """The database, the owner of the team in it, and the registry for what is made through the API."""

    database: Database
    owner: TeamContext
    registry: Harness


@contextmanager
def open_filled_team(
    home: Path, create_database: CreateDatabase, models: int, *, have_own_blobs: bool = False
) -> Iterator[FilledTeam]:
    """Open a new registry whose only team has so many models, see ``generated_models.insert_models``."""
    with (
        create_database() as url,
        open_resources(Settings(data_dir=home, database_url=url), Identity()) as resources,
        Harness.without_jobs(resources) as registry,
    ):
        began = time.perf_counter()
        database, team_id = resources.database, UUID(registry.team_id)
        generated_models.insert_models(database, team_id, models, have_own_blobs=have_own_blobs)
        if url is not None:
            with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
                connection.exec_driver_sql("VACUUM ANALYZE")
        print(f"{models:,} models written in {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        owner = Caller("user", UUID(registry.owner.user_id), None, None, None, "write", "Owner", None)
        yield FilledTeam(database, TeamContext(owner, team_id, Role.OWNER), registry)
