"""Lists and registrations in a registry of a million models against one of ten thousand, on both databases."""

import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from httpx2 import Response

from bench import generated_models
from bench.table import Goal, Table
from modelyard.server.http.paging import Page
from modelyard.server.identity.authentication import Caller
from modelyard.server.identity.state import Identity
from modelyard.server.models.listing.cursors import build_cursor_position
from modelyard.server.models.listing.pages import list_models
from modelyard.server.models.records import build_models
from modelyard.server.resources import open_resources
from modelyard.server.settings import Settings
from modelyard.server.teams.context import TeamContext
from modelyard.server.teams.operations import TRASH_DAYS
from modelyard.wire.model_filter import ModelFilter
from modelyard.wire.models import Model
from modelyard.wire.people.roles import Role
from tests.postgres import RunningPostgres
from tests.server.harness import Harness, make_model_file
from tests.server.query_plans import record_queries

SMALL_COUNT = 10_000
ROUNDS = 60
PER_PAGE = 10
REGISTRATIONS = 200
MAX_RATIO = 2.0


@dataclass(frozen=True)
class ListRequest:
    """A list request; ``cursor`` is None for a numbered page, or the fraction of the list at which the page begins.

    Without ``has_goal`` the database may have to read every model of the team.
    """

    name: str
    filters: Mapping[str, Any] = field(default_factory=dict)
    cursor: float | None = None
    in_small_team: bool = False
    has_goal: bool = True


LIST_REQUESTS = (
    ListRequest("page 1, with total"),
    ListRequest("page 1, by cursor", cursor=0),
    ListRequest("half way, by cursor (page 50,000 of ten)", cursor=0.5),
    ListRequest("by name, half way, by cursor", {"sort": "display_name"}, 0.5),
    ListRequest("by size, largest first", {"sort": "-file_size"}),
    ListRequest("model_type, 60 %", {"model_type": "loras"}),
    ListRequest("model_type, 1 %", {"model_type": "text_encoders"}),
    ListRequest("model_type, 60 %, by name", {"model_type": "loras", "sort": "display_name"}),
    ListRequest("model_type, 1 %, by name", {"model_type": "text_encoders", "sort": "display_name"}),
    ListRequest("model_status, 98 %", {"model_status": "active"}),
    ListRequest("model_status, 2 %", {"model_status": "disabled"}),
    ListRequest("verification, 0.5 %", {"verification": "failed"}),
    ListRequest("tag, 6 %", {"tag": "sdxl"}),
    ListRequest("tag, 0.06 %", {"tag": "project 99"}),
    ListRequest("tag, 6 %, by size", {"tag": "sdxl", "sort": "file_size"}),
    ListRequest("file_hash", {"file_hash": generated_models.build_hash(777)}),
    ListRequest("deleted, 1 %", {"deleted": True}),
    ListRequest("model_type and tag", {"model_type": "loras", "tag": "kestrel"}),
    ListRequest("status and verification", {"model_status": "disabled", "verification": "pending"}),
    ListRequest("q: 60 %", {"q": "loras/"}),
    ListRequest("q: 60 %, half way, by cursor", {"q": "loras/"}, 0.5),
    ListRequest("q: 10 %", {"q": "daguerreotype"}),
    ListRequest("q: 1 %", {"q": "chiaroscuro"}),
    ListRequest("q: 1 %, by name", {"q": "chiaroscuro", "sort": "display_name"}),
    ListRequest("q: 0.1 %", {"q": "sfumato"}),
    ListRequest("q: 0.1 %, by name", {"q": "sfumato", "sort": "display_name"}),
    ListRequest("q: three models", {"q": generated_models.RAREST_WORD}),
    ListRequest("q: nothing", {"q": "zzzyzx"}),
    ListRequest("q: three words, 0.3 %", {"q": "loras sdxl kestrel"}),
    ListRequest("q: two letters, 20 %", {"q": "sd"}),
    ListRequest("q: two letters, nothing", {"q": "zz"}),
    ListRequest("q: common words that never meet", {"q": "checkpoints/ loras/"}, has_goal=False),
    ListRequest("q and model_type that never meet", {"q": "checkpoints/", "model_type": "loras"}, has_goal=False),
    ListRequest("q: 1 % and model_type, 60 %", {"q": "chiaroscuro", "model_type": "loras"}),
    ListRequest("q: three models and model_type", {"q": generated_models.RAREST_WORD, "model_type": "loras"}),
    ListRequest("q: ten models of another team", {"q": "loras/"}, in_small_team=True),
)


class ScaledRegistry:
    """A registry with a team of ``count`` models and one of ten, called without HTTP so that the database dominates."""

    def __init__(self, registry: Harness, count: int) -> None:
        self.registry = registry
        self.count = count
        self.database = registry.resources.database
        self._small_team_id = registry.create_team().team_id or ""
        generated_models.insert_models(self.database, UUID(registry.team_id), count)
        generated_models.insert_models(self.database, UUID(self._small_team_id), 10)
        if self.database.engine.dialect.name == "postgresql":
            alone = self.database.engine.execution_options(isolation_level="AUTOCOMMIT")
            with alone.connect() as connection:
                connection.exec_driver_sql("VACUUM ANALYZE")

    def build_call(self, request: ListRequest) -> Callable[[], list[Model]]:
        """Return a function that runs the list request and returns the models as the API shows them."""
        owner = Caller("user", UUID(self.registry.owner.user_id), None, None, None, "write", "Owner", None)
        team_id = self._small_team_id if request.in_small_team else self.registry.team_id
        team = TeamContext(owner, UUID(team_id), Role.OWNER)
        model_filter = ModelFilter(**request.filters)
        page = Page(1, PER_PAGE, self._build_cursor(team, model_filter, request.cursor))

        def call() -> list[Model]:
            with self.database.reading() as session:
                models = list_models(session, team, model_filter, page).models
                return build_models(session, team, models, TRASH_DAYS)

        return call

    def _build_cursor(self, team: TeamContext, model_filter: ModelFilter, fraction: float | None) -> str | None:
        """Return the cursor at this fraction of the list: None for a numbered page, '' for the start."""
        if not fraction:
            return None if fraction is None else ""
        position = Page(1 + int(self.count * fraction), 1, None)
        with self.database.reading() as session:
            [row] = list_models(session, team, model_filter, position).models
        return position.cursor_meta(build_cursor_position(row, model_filter.order)).next_cursor

    def explain(self, call: Callable[[], list[Model]]) -> str:
        """Return the query plans of the statements that a call runs."""
        with record_queries(self.database.engine) as statements:
            call()
        with self.database.engine.connect() as connection:
            return "\n\n".join(statements.plans(connection))

    def generate_registrations(self) -> Iterator[Callable[[], Response]]:
        """Generate calls that register one model each, of a file uploaded before."""
        owner = self.registry.owner
        for number in range(REGISTRATIONS):
            path = f"loras/scale/registered {number}.safetensors"
            yield partial(
                owner.post, "/models", **owner.new_model(make_model_file(path), path, tags=["sdxl", "portrait"])
            )


def measure(home: Path, models: int) -> Iterator[tuple[list[Table], list[Goal]]]:
    """Compare the small and the large registry, on one database after the other."""
    with RunningPostgres() as postgres:
        for name, create_database in (("SQLite", no_database), ("PostgreSQL", postgres.database)):
            with ExitStack() as stack:
                small, large = (
                    stack.enter_context(_create_scaled_registry(home / f"{name}-{count}", create_database, count))
                    for count in (SMALL_COUNT, models)
                )
                plans = [[request.name, _cell(large.explain(large.build_call(request)))] for request in LIST_REQUESTS]
                times, goals = _compare(name, small, large)
                yield [times, Table(f"Plans on {name}", ["", "plan"], plans)], goals


@contextmanager
def no_database() -> Iterator[None]:
    """Yield None: for SQLite no database has to be created."""
    yield None


@contextmanager
def _create_scaled_registry(
    home: Path, create_database: Callable[[], AbstractContextManager[str | None]], count: int
) -> Iterator[ScaledRegistry]:
    """Open a registry in this process and fill its teams; prints how long that took."""
    with create_database() as url:
        options = {"public_url": "http://registry.test", "open_uploads": 10 * REGISTRATIONS}
        settings = Settings(data_dir=home, database_url=url, **options)
        with open_resources(settings, Identity()) as resources, Harness(resources) as registry:
            began = time.perf_counter()
            scaled_registry = ScaledRegistry(registry, count)
            print(f"{count:,} models written in {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
            yield scaled_registry


def _compare(name: str, small: ScaledRegistry, large: ScaledRegistry) -> tuple[Table, list[Goal]]:
    """Time every list request and registrations in both registries; return the table and the goals."""
    rows: list[list[str]] = []
    goals: list[Goal] = []
    for request in LIST_REQUESTS:
        times = _time_alternately([small.build_call(request)] * ROUNDS, [large.build_call(request)] * ROUNDS)
        rows.append([request.name, *_cells(*times)])
        goals += [_goal(f"{name}: {request.name}", *times)] if request.has_goal else []
    registered = _time_alternately(list(small.generate_registrations()), list(large.generate_registrations()))
    rows.append(["POST /models", *_cells(*registered)])
    sizes = (f"{small.count:,}", f"{large.count:,}")
    columns = ["", *(f"{what} at {size}" for what in ("p50", "p95") for size in sizes), "p50 ratio", "p95 ratio"]
    return Table(f"Milliseconds on {name}", columns, rows), [*goals, _goal(f"{name}: POST /models", *registered)]


def _time_alternately(
    small: Sequence[Callable[[], Any]], large: Sequence[Callable[[], Any]]
) -> tuple[list[float], list[float]]:
    """Call both alternately, so that disturbances affect both alike; return the sorted milliseconds of each."""
    for call in (small[0], large[0]):
        call()
    both_times: tuple[list[float], list[float]] = ([], [])
    for pair in zip(small, large, strict=True):
        for times, call in zip(both_times, pair, strict=True):
            began = time.perf_counter()
            call()
            times.append((time.perf_counter() - began) * 1e3)
    return sorted(both_times[0]), sorted(both_times[1])


def _get_percentile(times: list[float], percentile: float) -> float:
    return times[int(len(times) * percentile)]


def _cells(small: list[float], large: list[float]) -> list[str]:
    times = [_get_percentile(times, percentile) for percentile in (0.5, 0.95) for times in (small, large)]
    return [*(f"{time:.1f}" for time in times), f"{times[1] / times[0]:.1f}", f"{times[3] / times[2]:.1f}"]


def _goal(name: str, small: list[float], large: list[float]) -> Goal:
    return Goal(
        f"{name}, p95 ratio", _get_percentile(large, 0.95) / _get_percentile(small, 0.95), MAX_RATIO, at_least=False
    )


def _cell(plan: str) -> str:
    """Format the steps of a query plan for a table cell, without costs and conditions."""
    steps = (re.sub(r"\s*\(cost=.*\)", "", line).strip().removeprefix("->").strip() for line in plan.splitlines())
    shown = (
        step for step in steps if step and not re.match(r"[A-Z][\w ]* (Cond|Key):|\w*[Ff]ilter:|Workers|JIT|Cond", step)
    )
    return "<br>".join(f"`{step}`" for step in shown).replace("|", "\\|")
