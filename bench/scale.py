"""Lists of a million models against lists of ten thousand, on both databases; and what registering costs in each."""

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

from bench import catalogue
from bench.table import Goal, Table
from modelyard.server.identity.bearer import Caller
from modelyard.server.identity.state import Identity
from modelyard.server.models import operations
from modelyard.server.models.holders.wanting import Machines
from modelyard.server.models.listing.cursors import position_of
from modelyard.server.models.listing.filters import ModelFilter
from modelyard.server.models.listing.pages import list_models
from modelyard.server.paging import Page
from modelyard.server.parts import opened
from modelyard.server.settings import Settings
from modelyard.server.teams.acting import Acting
from modelyard.server.teams.operations import TRASH_DAYS
from modelyard.wire.models import Model
from modelyard.wire.teams import Role
from tests.postgres import RunningPostgres
from tests.server.plans import recorded
from tests.server.world import World, a_model_file

FEW = 10_000
ROUNDS = 60
PER_PAGE = 10
REGISTRATIONS = 200
MOST_RATIO = 2.0


@dataclass(frozen=True)
class Question:
    """A list that somebody asks for; ``cursor`` is None for a numbered page, or how far into the list it points.

    Without ``has_goal`` it is one of those that may have to look at every model of the team once.
    """

    name: str
    asked: Mapping[str, Any] = field(default_factory=dict)
    cursor: float | None = None
    in_small_team: bool = False
    has_goal: bool = True


QUESTIONS = (
    Question("page 1, with total"),
    Question("page 1, by cursor", cursor=0),
    Question("half way, by cursor (page 50,000 of ten)", cursor=0.5),
    Question("by name, half way, by cursor", {"sort": "display_name"}, 0.5),
    Question("by size, largest first", {"sort": "-file_size"}),
    Question("model_type, 60 %", {"model_type": "loras"}),
    Question("model_type, 1 %", {"model_type": "text_encoders"}),
    Question("model_type, 60 %, by name", {"model_type": "loras", "sort": "display_name"}),
    Question("model_type, 1 %, by name", {"model_type": "text_encoders", "sort": "display_name"}),
    Question("model_status, 98 %", {"model_status": "active"}),
    Question("model_status, 2 %", {"model_status": "disabled"}),
    Question("verification, 0.5 %", {"verification": "failed"}),
    Question("tag, 6 %", {"tag": "sdxl"}),
    Question("tag, 0.06 %", {"tag": "project 99"}),
    Question("tag, 6 %, by size", {"tag": "sdxl", "sort": "file_size"}),
    Question("file_hash", {"file_hash": catalogue.hash_of(777)}),
    Question("deleted, 1 %", {"deleted": True}),
    Question("model_type and tag", {"model_type": "loras", "tag": "kestrel"}),
    Question("status and verification", {"model_status": "disabled", "verification": "pending"}),
    Question("q: 60 %", {"q": "loras/"}),
    Question("q: 60 %, half way, by cursor", {"q": "loras/"}, 0.5),
    Question("q: 10 %", {"q": "daguerreotype"}),
    Question("q: 1 %", {"q": "chiaroscuro"}),
    Question("q: 1 %, by name", {"q": "chiaroscuro", "sort": "display_name"}),
    Question("q: 0.1 %", {"q": "sfumato"}),
    Question("q: 0.1 %, by name", {"q": "sfumato", "sort": "display_name"}),
    Question("q: three models", {"q": catalogue.RAREST}),
    Question("q: nothing", {"q": "zzzyzx"}),
    Question("q: three words, 0.3 %", {"q": "loras sdxl kestrel"}),
    Question("q: two letters, 10 %", {"q": "xl"}),
    Question("q: two letters, nothing", {"q": "zz"}, has_goal=False),
    Question("q: common words that never meet", {"q": "checkpoints/ loras/"}, has_goal=False),
    Question("q and model_type that never meet", {"q": "checkpoints/", "model_type": "loras"}, has_goal=False),
    Question("q: 1 % and model_type, 60 %", {"q": "chiaroscuro", "model_type": "loras"}),
    Question("q: three models and model_type", {"q": catalogue.RAREST, "model_type": "loras"}),
    Question("q: ten models of another team", {"q": "loras/"}, in_small_team=True),
)


class Crowd:
    """A registry with a team of very many models and one of ten, asked without HTTP: what is left is the database."""

    def __init__(self, world: World, count: int) -> None:
        self.world = world
        self.count = count
        self.database = world.parts.database
        self._small = world.new_team().team_id or ""
        catalogue.fill(self.database, UUID(world.team_id), count)
        catalogue.fill(self.database, UUID(self._small), 10)
        if self.database.engine.dialect.name == "postgresql":
            alone = self.database.engine.execution_options(isolation_level="AUTOCOMMIT")
            with alone.connect() as connection:
                connection.exec_driver_sql("VACUUM ANALYZE")

    def asks(self, question: Question) -> Callable[[], list[Model]]:
        """The call of a question, which gives the models as the API shows them."""
        owner = Caller("user", UUID(self.world.owner.user_id), None, None, None, "write", "Owner", None)
        team_id = self._small if question.in_small_team else self.world.team_id
        acting = Acting(owner, UUID(team_id), Role.OWNER)
        wanted = ModelFilter(**question.asked)
        page = Page(1, PER_PAGE, self._cursor(acting, wanted, question.cursor))

        def ask() -> list[Model]:
            with self.database.reading() as session:
                machines = Machines.of(session, acting.team_id)
                models = list_models(session, acting, wanted, page).models
                return [operations.as_wire(model, machines, TRASH_DAYS) for model in models]

        return ask

    def _cursor(self, acting: Acting, wanted: ModelFilter, how_far: float | None) -> str | None:
        if not how_far:
            return None if how_far is None else ""
        there = Page(1 + int(self.count * how_far), 1, None)
        with self.database.reading() as session:
            [row] = list_models(session, acting, wanted, there).models
        return there.cursor_meta(position_of(row, wanted.sort)).next_cursor

    def plan(self, ask: Callable[[], list[Model]]) -> str:
        """What the database says of the statements behind a call."""
        with recorded(self.database.engine) as statements:
            ask()
        with self.database.engine.connect() as connection:
            return "\n\n".join(statements.plans(connection))

    def registrations(self) -> Iterator[Callable[[], Response]]:
        """Calls that register one model each, whose bytes are there already."""
        owner = self.world.owner
        for number in range(REGISTRATIONS):
            path = f"loras/scale/registered {number}.safetensors"
            yield partial(owner.post, "/models", **owner.new_model(a_model_file(path), path, tags=["sdxl", "portrait"]))


def measure(home: Path, models: int) -> Iterator[tuple[list[Table], list[Goal]]]:
    """One database after the other, small and large registry side by side."""
    with RunningPostgres() as postgres:
        for name, place in (("SQLite", no_database), ("PostgreSQL", postgres.database)):
            with ExitStack() as stack:
                few, many = (
                    stack.enter_context(_crowd(home / f"{name}-{count}", place, count)) for count in (FEW, models)
                )
                plans = [[question.name, _cell(many.plan(many.asks(question)))] for question in QUESTIONS]
                times, goals = _compared(name, few, many)
                yield [times, Table(f"Plans on {name}", ["", "plan"], plans)], goals


@contextmanager
def no_database() -> Iterator[None]:
    """SQLite needs none to be made for it."""
    yield None


@contextmanager
def _crowd(home: Path, place: Callable[[], AbstractContextManager[str | None]], count: int) -> Iterator[Crowd]:
    with place() as url:
        known = {"public_url": "http://registry.test", "open_uploads": 10 * REGISTRATIONS}
        settings = Settings(data_dir=home, database_url=url, **known)
        with opened(settings, Identity()) as parts, World(parts) as world:
            began = time.perf_counter()
            crowd = Crowd(world, count)
            print(f"{count:,} models written in {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
            yield crowd


def _compared(name: str, few: Crowd, many: Crowd) -> tuple[Table, list[Goal]]:
    rows: list[list[str]] = []
    goals: list[Goal] = []
    for question in QUESTIONS:
        found = _in_turns([few.asks(question)] * ROUNDS, [many.asks(question)] * ROUNDS)
        rows.append([question.name, *_cells(*found)])
        goals += [_goal(f"{name}: {question.name}", *found)] if question.has_goal else []
    registered = _in_turns(list(few.registrations()), list(many.registrations()))
    rows.append(["POST /models", *_cells(*registered)])
    sizes = (f"{few.count:,}", f"{many.count:,}")
    columns = ["", *(f"{what} at {size}" for what in ("p50", "p95") for size in sizes), "p50 ratio", "p95 ratio"]
    return Table(f"Milliseconds on {name}", columns, rows), [*goals, _goal(f"{name}: POST /models", *registered)]


def _in_turns(few: Sequence[Callable[[], Any]], many: Sequence[Callable[[], Any]]) -> tuple[list[float], list[float]]:
    """Sorted milliseconds of both; each goes after the other, so that what disturbs the machine disturbs both."""
    for call in (few[0], many[0]):
        call()
    found: tuple[list[float], list[float]] = ([], [])
    for pair in zip(few, many, strict=True):
        for times, call in zip(found, pair, strict=True):
            began = time.perf_counter()
            call()
            times.append((time.perf_counter() - began) * 1e3)
    return sorted(found[0]), sorted(found[1])


def _at(times: list[float], part: float) -> float:
    return times[int(len(times) * part)]


def _cells(few: list[float], many: list[float]) -> list[str]:
    found = [_at(times, part) for part in (0.5, 0.95) for times in (few, many)]
    return [*(f"{time:.1f}" for time in found), f"{found[1] / found[0]:.1f}", f"{found[3] / found[2]:.1f}"]


def _goal(name: str, few: list[float], many: list[float]) -> Goal:
    return Goal(f"{name}, p95 ratio", _at(many, 0.95) / _at(few, 0.95), MOST_RATIO, at_least=False)


def _cell(plan: str) -> str:
    """The steps of a plan without what they cost and test, which a table has no room for."""
    steps = (re.sub(r"\s*\(cost=.*\)", "", line).strip().removeprefix("->").strip() for line in plan.splitlines())
    shown = (
        step for step in steps if step and not re.match(r"[A-Z][\w ]* (Cond|Key):|\w*[Ff]ilter:|Workers|JIT|Cond", step)
    )
    return "<br>".join(f"`{step}`" for step in shown).replace("|", "\\|")
