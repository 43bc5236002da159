"""Two servers on one database, and callers that ask both at the same moment."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import httpx2
from sqlalchemy import func, select

from modelyard.server import revisions
from modelyard.server.app import create_app
from modelyard.server.database.session import Database
from modelyard.server.identity.state import Identity
from modelyard.server.models.tables import ModelRow
from modelyard.server.resources import build_database_url, open_resources
from modelyard.server.settings import Settings
from modelyard.server.teams.tables import MemberRow, TeamRow
from tests.server.conftest import CHEAP
from tests.server.environments import PATIENT
from tests.server.harness import ApiCaller, Harness, HarnessClient
from tests.waiting import PATIENCE_SECONDS

Answer = TypeVar("Answer")
# How often a race is run: `make test-random` runs it more often.
ROUNDS = int(os.environ.get("MODELYARD_TEST_ROUNDS", "3"))
OPEN_UPLOADS = 25


class TwoServers:
    """``registry`` is one of them; the other has connections, secrets and counters of its own, and the same store."""

    def __init__(self, registry: Harness, other: HarnessClient) -> None:
        self.registry = registry
        self._clients = [registry.client, other]

    def on(self, server: int, someone: ApiCaller) -> ApiCaller:
        """The same caller at one of the two."""
        return ApiCaller(self._clients[server % 2], someone.token, someone.team_id, someone.user_id)

    def both(self, someone: ApiCaller) -> tuple[ApiCaller, ApiCaller]:
        return self.on(0, someone), self.on(1, someone)

    def rounds_with_new_teams(self) -> Iterator[tuple[int, ApiCaller]]:
        """Give each round a team of its own, as a team may have few open uploads; check the sums after the last."""
        for number in range(ROUNDS):
            yield number, self.registry.create_team()
        self.check_sums()

    def check_sums(self) -> None:
        """What is kept so that nobody has to count it is what counting gives, and every team has one owner."""
        with self.registry.resources.database.reading() as session:
            for team_id in session.scalars(select(TeamRow.id)):
                living = select(func.count()).where(ModelRow.team_id == team_id, ModelRow.deleted_at.is_(None))
                assert session.scalar(living) == revisions.get_totals(session, team_id).living_models
                owners = select(func.count()).where(MemberRow.team_id == team_id, MemberRow.role == "owner")
                assert session.scalar(owners) == 1


@contextmanager
def two_servers(settings: Settings) -> Iterator[TwoServers]:
    with open_resources(settings, Identity(CHEAP), PATIENT) as resources, Harness(resources) as registry:
        # A folder has one process, which is no matter here: what races is in the database.
        second = replace(resources, database=Database(build_database_url(settings), PATIENT), identity=Identity(CHEAP))
        with HarnessClient(create_app(second), settings.storage_endpoint) as other:
            yield TwoServers(registry, other)
        second.database.close()


def at_once(*calls: Callable[[], Answer]) -> list[Answer]:
    """The answers of calls that begin together, in their order."""
    ready = threading.Barrier(len(calls))

    def go(call: Callable[[], Answer]) -> Answer:
        ready.wait(PATIENCE_SECONDS)
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(go, calls))


def codes(answers: Sequence[httpx2.Response]) -> list[tuple[int, str]]:
    """Status and problem of each, sorted."""
    return sorted((answer.status_code, _problem(answer)) for answer in answers)


def _problem(answer: httpx2.Response) -> str:
    body: Any = answer.json() if answer.content else {}
    return str(body.get("error_code", ""))
