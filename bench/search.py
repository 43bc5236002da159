"""Searches and facets in a team of a hundred thousand models, on both databases."""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench.filled_team import CreateDatabase, open_filled_team
from bench.scale import no_database
from bench.table import Goal, Table
from modelyard.server.database.session import Database
from modelyard.server.http.paging import Page
from modelyard.server.models.listing.facets import count_facets
from modelyard.server.models.listing.pages import list_models
from modelyard.server.models.records import build_models
from modelyard.server.teams.context import TeamContext
from modelyard.server.teams.operations import TRASH_DAYS
from modelyard.wire.model_filter import FacetQuery, ModelFilter
from modelyard.wire.models import ModelList
from tests.postgres import RunningPostgres

ROUNDS = 40
PER_PAGE = 60
MAX_SEARCH_MILLISECONDS, MAX_FACETS_MILLISECONDS = 50.0, 150.0
SEARCHES = (
    *("", "a", "sd", "zz", "ink", "loras/", "portrait kestrel", "daguerreotype", "chiaroscuro", "zanzibar", "zzzyzx"),
    *("type:loras", "type:text_encoders", "base:pony", "tag:sdxl", 'tag:"project 99"', "trigger:kestrel", "by:me"),
    *("type:loras base:pony tag:ink", "-tag:sdxl ink", "size:>20gb", "added:2025-01", "is:damaged", "state:failed"),
    *("type:loras|vae base:pony|wan ink|oil -zanzibar", "sha256:abcdef0123", "ink missing:any"),
)
Call = Callable[[], object]
# Milliseconds on the clock, and of CPU time.
Times = tuple[float, float]


def measure(home: Path, models: int) -> Iterator[tuple[list[Table], list[Goal]]]:
    """Search a registry of so many models, on one database after the other."""
    with RunningPostgres() as postgres:
        for name, create_database in (("SQLite", no_database), ("PostgreSQL", postgres.database)):
            rows, goals = [], []
            for q, times in _measure_database(home / name, create_database, models):
                p95s = [_get_quantile(each, 0.95) for each in times]
                rows.append([f"`{q}`", *(_format_times(each) for each in times)])
                limits = (("search", MAX_SEARCH_MILLISECONDS), ("facets", MAX_FACETS_MILLISECONDS))
                goals += [
                    Goal(f"{name}: {what} `{q}`, p95 ms", value, limit, at_least=False)
                    for value, (what, limit) in zip(p95s, limits, strict=True)
                ]
            title = f"Searches at {models:,} models on {name}, p50 / p95 in milliseconds (CPU time of the process)"
            yield [Table(title, ["", f"newest {PER_PAGE}", "facets"], rows)], goals


def _measure_database(
    home: Path, create_database: CreateDatabase, models: int
) -> Iterator[tuple[str, list[list[Times]]]]:
    """Fill a registry, and yield each search with the times of its first page and of its facets."""
    with open_filled_team(home, create_database, models) as (database, team, _):
        gc.collect()
        gc.freeze()
        for q in SEARCHES:
            calls = _build_list_call(database, team, q), _build_facets_call(database, team, q)
            yield q, [[_time(call) for _ in range(ROUNDS)] for call in calls]


def _build_list_call(database: Database, team: TeamContext, q: str) -> Call:
    """Return a function that lists the first page of a search, up to the response's JSON."""

    def call() -> str:
        with database.reading() as session:
            page = list_models(session, team, ModelFilter(q=q), Page(1, PER_PAGE, ""))
            models = build_models(session, team, page.models, TRASH_DAYS)
            return ModelList(model_list=models, page_meta=page.meta).model_dump_json()

    return call


def _build_facets_call(database: Database, team: TeamContext, q: str) -> Call:
    """Return a function that counts the facets of a search, without the cache, up to the response's JSON."""

    def call() -> str:
        with database.reading() as session:
            return count_facets(session, team, FacetQuery(q=q)).model_dump_json()

    return call


def _time(call: Call) -> Times:
    """Return the milliseconds of a call, and of CPU time: on SQLite, which runs in the process, all that it costs."""
    began, began_cpu = time.perf_counter(), time.process_time()
    call()
    return (time.perf_counter() - began) * 1e3, (time.process_time() - began_cpu) * 1e3


def _get_quantile(times: Sequence[Times], share: float) -> float:
    """Return the milliseconds that this share of the calls did not exceed."""
    return sorted(wall for wall, _ in times)[int(len(times) * share)]


def _format_times(times: Sequence[Times]) -> str:
    """Return the median and the 95th percentile of the times, and the median of the CPU time."""
    median_cpu = sorted(cpu for _, cpu in times)[len(times) // 2]
    return f"{_get_quantile(times, 0.5):.1f} / {_get_quantile(times, 0.95):.1f} ({median_cpu:.1f})"
