"""A cache of counted facets, which a page asks for again whenever it is shown.

Counts change with the models, so with the team's revision; those of replica states, and of searches by them, also with
what the team's machines reported.
"""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.database.session import get_table
from modelyard.server.models.listing.facets import count_facets, list_facet_names
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.models.search_text import fold_value
from modelyard.server.teams.context import TeamContext
from modelyard.wire.hashes.texts import is_hash
from modelyard.wire.model_filter import Facet, FacetList, FacetName, FacetQuery

MAX_ENTRIES = 500
# For what changes without a new revision: hashes that are computed later, uses of models, and the trash.
BRIEF_SECONDS = 5.0
# Facets that change with reports of machines.
_BY_MACHINES: frozenset[FacetName] = frozenset({"state", "is"})
_agents = get_table(AgentRow)


class Key(NamedTuple):
    """What some facets of a query depend on; ``machines`` is a digest of the reports of the team's machines.

    ``creator_id`` is that of ``by:me``.
    """

    team_id: UUID
    revision: int
    creator_id: UUID | None
    query: str
    machines: str


class FacetCache:
    """The facets of the last queries."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[Key, tuple[float | None, list[Facet]]] = OrderedDict()

    def find(self, key: Key) -> list[Facet] | None:
        """Return the facets that are kept for a key, or None; expired ones are not returned.

        A key that is found is the last to be dropped.
        """
        with self._lock:
            ends, facets = self._entries.get(key, (None, None))
            if facets is not None:
                self._entries.move_to_end(key)
        return None if ends is not None and self._clock() >= ends else facets

    def keep(self, key: Key, facets: list[Facet], seconds: float | None) -> None:
        """Keep the facets of a key for so many seconds; with None, until there is no space for them.

        Above ``MAX_ENTRIES``, those that were used longest ago are dropped.
        """
        with self._lock:
            self._entries[key] = None if seconds is None else self._clock() + seconds, facets
            self._entries.move_to_end(key)
            while len(self._entries) > MAX_ENTRIES:
                self._entries.popitem(last=False)


def find_or_count_facets(session: Session, team: TeamContext, query: FacetQuery, cache: FacetCache) -> FacetList:
    """Return the facets of a query: those that are kept, and the others counted now."""
    names = list_facet_names(query)
    facets: dict[FacetName, Facet] = {}
    missing: dict[Key, list[FacetName]] = {}
    for key, group in _group_by_key(session, team, query, names).items():
        kept = cache.find(key)
        if kept is None:
            missing[key] = group
        facets |= {facet.name: facet for facet in kept or ()}
    if missing:
        uncounted = [name for name in names if name not in facets]
        facets |= {facet.name: facet for facet in count_facets(session, team, query, uncounted).facet_list}
    seconds = BRIEF_SECONDS if _may_change_within_revision(query) else None
    for key, group in missing.items():
        cache.keep(key, [facets[name] for name in group], seconds)
    return FacetList(facet_list=[facets[name] for name in names])


def _group_by_key(
    session: Session, team: TeamContext, query: FacetQuery, names: Sequence[FacetName]
) -> dict[Key, list[FacetName]]:
    """Return the facets by what they depend on: some, and all of a search by machines, on their reports too."""
    is_by_machines = _is_by_machines(query)
    revision = revisions.get_totals(session, team.team_id).revision
    of_models = Key(team.team_id, revision, team.creator.id, query.model_dump_json(), "")
    groups: dict[Key, list[FacetName]] = {}
    others: list[FacetName] = [] if is_by_machines else [name for name in names if name not in _BY_MACHINES]
    if others:
        groups[of_models] = others
    if by_machines := [name for name in names if name not in others]:
        groups[of_models._replace(machines=_get_reports(session, team.team_id))] = by_machines
    return groups


def _get_reports(session: Session, team_id: UUID) -> str:
    """Return a digest that changes with each report of a machine, and with the machines and their labels."""
    columns = _agents.c.number, _agents.c.agent_id, _agents.c.label_set, _agents.c.report_series
    query = select(*columns, _agents.c.report_number).where(_agents.c.team_id == team_id).order_by(_agents.c.number)
    rows = session.connection().execute(query).all()
    return hashlib.sha256(repr([tuple(row) for row in rows]).encode()).hexdigest()


def _is_by_machines(query: FacetQuery) -> bool:
    """Return whether a search depends on machines and their replica states."""
    terms = query.search_terms
    return query.missing_on is not None or any(
        term.key in ("machine", "missing", "state") or (term.key == "is" and "missing" in map(fold_value, term.values))
        for term in terms
    )


def _may_change_within_revision(query: FacetQuery) -> bool:
    """Return whether a search may find other models although the team's revision is the same."""
    words = (value for term in query.search_terms if term.key in ("", "hash") for value in term.values)
    if query.deleted or query.file_hash is not None or any(term.key == "unused" for term in query.search_terms):
        return True
    return any(is_hash(fold_value(word)) for word in words)
