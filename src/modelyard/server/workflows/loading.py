"""Loading what a check needs from the database: contents by path and hash, similar names, machines."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Row, select
from sqlalchemy.orm import Session, load_only

from modelyard.comfyui.workflows.references import ModelReference
from modelyard.server.agents.machine_states import STATE_COLUMNS, find_absence
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import get_table
from modelyard.server.models.listing.index_choice import choose_query_plan
from modelyard.server.models.lookups.by_hash import find_versions_by_hash
from modelyard.server.models.replicas.assignments import load_assigned_agents
from modelyard.server.models.replicas.machine_keys import load_key_refusals
from modelyard.server.models.replicas.pins import find_pins
from modelyard.server.models.replicas.tables import AgentModelRow, AgentRow
from modelyard.server.models.tables import CONTENT_SIZE, ModelRow
from modelyard.server.teams.context import TeamContext
from modelyard.server.uploads.hashes import HASH_COLUMNS, has_hash
from modelyard.server.uploads.tables import BlobRow
from modelyard.server.workflows.matching import Content, TeamContents, list_path_keys, normalize_name
from modelyard.server.workflows.readiness import MachineFacts, NeededModel, Replica
from modelyard.wire.agents.values import ModelState
from modelyard.wire.formats import find_format
from modelyard.wire.model_filter import ModelFilter
from modelyard.wire.paths import build_path_key, get_canonical_type
from modelyard.wire.search.grammar import quote_word

# Models that contain a name, of which the one with the most similar name is suggested.
_MAX_CANDIDATES = 50
_MIN_SIMILARITY = 0.75
# Shorter names are part of too many others.
_MIN_STEM, _MAX_STEM = 3, 100
_MACHINE_COLUMNS = (
    *(*STATE_COLUMNS, AgentRow.agent_id, AgentRow.disk_free, AgentRow.pin_set),
    *(AgentRow.sync_bytes_done, AgentRow.sync_bytes_total, AgentRow.sync_seconds_left),
)
_models, _states, _blobs = get_table(ModelRow), get_table(AgentModelRow), get_table(BlobRow)
_SHOWN_COLUMNS = _models.c.id, _models.c.model_path, _models.c.current_version, _models.c.pending_version
_Row = Row[*tuple[Any, ...]]


def load_team_contents(session: Session, team: TeamContext, references: Iterable[ModelReference]) -> TeamContents:
    """Return the team's contents, outside the trash, that the references name by folder and name, or by hash."""
    keys = {reference: list_path_keys(reference) for reference in references}
    shown = _load_by_path(session, team.team_id, {key for of_one in keys.values() for key in of_one})
    named = {reference: [shown[key] for key in of_one if key in shown] for reference, of_one in keys.items()}
    by_path_key = {key: _build_shown_content(row) for key, row in shown.items()}
    return TeamContents(by_path_key, _load_by_hash(session, team, named))


def _load_by_path(session: Session, team_id: UUID, keys: Collection[str]) -> dict[str, _Row]:
    """Return the model at each of these paths, with the hashes of the content that it shows."""
    hashes = [_blobs.c.verified_at, *(_blobs.c[name] for name in HASH_COLUMNS)]
    query = select(_models.c.path_key, *_SHOWN_COLUMNS, *hashes).join(_blobs, _blobs.c.id == _models.c.blob_id)
    at_path = (_models.c.team_id == team_id, _models.c.path_key.in_(keys), _models.c.deleted_at.is_(None))
    return {row.path_key: row for row in session.connection().execute(query.where(*at_path))}


def _load_by_hash(
    session: Session, team: TeamContext, named: Mapping[ModelReference, Sequence[_Row]]
) -> dict[str, Sequence[Content]]:
    """Return the verified contents with each hash, of any kind, by path, and newest versions first.

    However many models have a hash: those with it at the paths that its references name are among them.
    """
    found = find_versions_by_hash(session, team, {each.hash for each in named if each.hash})
    contents = {
        text: {_build_content(UUID(row.id), row.number, row.model_path) for _, row in matches}
        for text, matches in found.by_text.items()
    }
    for reference, at_paths in named.items():
        if reference.hash in contents:
            contents[reference.hash].update(
                _build_shown_content(row) for row in at_paths if row.verified_at and has_hash(row, reference.hash)
            )
    return {text: sorted(each, key=lambda one: (one.model_path, -one.version)) for text, each in contents.items()}


def _build_shown_content(row: _Row) -> Content:
    """Return the content that a model shows."""
    return _build_content(row.id, row.current_version or row.pending_version, row.model_path)


def _build_content(model_id: UUID, number: int, model_path: str) -> Content:
    """Return the content of a version of a model."""
    return Content(model_id, number, model_path.removeprefix("models/"))


def find_by_stem(session: Session, team: TeamContext, reference: ModelReference) -> Content | None:
    """Return the content of a model in any subfolder whose file name without extension is that of the reference.

    As ComfyUI-Lora-Manager does (``get_lora_info``), with case; of several, the first by path.
    """
    stem = PurePosixPath(normalize_name(reference.name)).name
    if not _is_searchable(stem):
        return None
    is_named = _models.c.path_key.contains(build_path_key("", f"{stem}."), autoescape=True)
    found = _search_models(session, team, stem.casefold(), is_named, _models.c.canonical_type == reference.folder)
    exact = [content for content in found if PurePosixPath(content.name).stem == stem and find_format(content.name)]
    return min(exact, key=lambda content: content.model_path, default=None)


def find_similar(session: Session, team: TeamContext, reference: ModelReference) -> Content | None:
    """Return the content of a model whose file name is that of the reference in another folder, or similar to it."""
    wanted = PurePosixPath(normalize_name(reference.name)).name.casefold()
    stem = wanted.rpartition(".")[0] if find_format(wanted) else wanted
    if len(stem) < _MIN_STEM or not _is_searchable(stem):
        return None
    contents = _search_models(session, team, stem)
    folder = reference.folder
    in_folder = [each for each in contents if folder is None or get_canonical_type(each.folder) == folder]
    return _choose_similar(wanted, in_folder)


def _is_searchable(stem: str) -> bool:
    """Return whether a name can be a word of a search."""
    return 0 < len(stem) <= _MAX_STEM and stem.isprintable() and '"' not in stem


def _search_models(session: Session, team: TeamContext, word: str, *conditions: ColumnElement[bool]) -> list[Content]:
    """Return the first models that a search for a word finds, and that meet these conditions."""
    plan = choose_query_plan(session, team, ModelFilter(q=quote_word(word)), None)
    query = select(*_SHOWN_COLUMNS).select_from(plan.source).where(*plan.conditions, *conditions).order_by(*plan.order)
    return [_build_shown_content(row) for row in session.execute(query.limit(_MAX_CANDIDATES))]


def _choose_similar(wanted: str, contents: Sequence[Content]) -> Content | None:
    """Return the content whose file name is the most similar; None if none is similar enough.

    A name that has no model file's extension is compared with the names without theirs.
    """
    paths = [(PurePosixPath(content.name), content) for content in reversed(contents)]
    by_name = {(path.name if find_format(wanted) else path.stem).casefold(): content for path, content in paths}
    closest = get_close_matches(wanted, sorted(by_name), n=1, cutoff=_MIN_SIMILARITY)
    return by_name[closest[0]] if closest else None


def load_needed_models(
    session: Session, contents: Iterable[Content], versions: Mapping[UUID, int]
) -> list[NeededModel]:
    """Return what machines need to know of these models, each once; ``versions`` has those that must be the ones."""
    ids = list(dict.fromkeys(content.model_id for content in contents))
    columns = (
        _models.c.id,
        _models.c.display_name,
        CONTENT_SIZE.label("file_size"),
        _models.c.label_set,
        _models.c.model_status,
    )
    query = select(*columns, _models.c.verification, _models.c.verified_at).where(_models.c.id.in_(ids))
    rows = {row.id: row for row in session.connection().execute(query)}
    return [_build_needed(rows[model_id], versions.get(model_id)) for model_id in ids if model_id in rows]


def _build_needed(row: _Row, version: int | None) -> NeededModel:
    """Build what machines need to know of a model."""
    return NeededModel(row.id, row.display_name, row.file_size, row.label_set, _find_unavailable(row), version)


def _find_unavailable(row: _Row) -> str | None:
    """Return why no machine can download a model now, as the end of a sentence; None if they can."""
    if row.model_status != "active":
        return "is disabled in the registry"
    if row.verification == "failed":
        return "is damaged in the registry" if row.verified_at else "failed its verification"
    return "is still being verified" if row.verified_at is None else None


def list_machine_names(session: Session, team: TeamContext) -> Sequence[str]:
    """Return the names of the team's machines, for a machine's key of its own."""
    return session.scalars(select(AgentRow.agent_id).where(*_are_visible(team)).order_by(AgentRow.agent_id)).all()


def _are_visible(team: TeamContext) -> list[ColumnElement[bool]]:
    """Build the conditions for the machines that the caller may know of: a machine's key only its own."""
    of_team = [AgentRow.team_id == team.team_id]
    return [*of_team, AgentRow.credential_id == team.caller.credential_id] if team.caller.kind == "agent" else of_team


def load_machines(session: Session, team: TeamContext, needed: Sequence[NeededModel]) -> list[MachineFacts]:
    """Return the team's machines by name, for a machine's key its own, with their states of the needed models."""
    query = select(AgentRow).where(*_are_visible(team)).order_by(AgentRow.agent_id)
    agents = session.scalars(query.options(load_only(*_MACHINE_COLUMNS, raiseload=True))).all()
    moment = get_database_time(session)
    ids = [model.id for model in needed]
    replicas, assigned = _load_replicas(session, ids), load_assigned_agents(session, ids)
    pins = _load_pins(session, agents, [model.id for model in needed if model.version is not None])
    refusals = load_key_refusals(session, [agent.number for agent in agents])
    return [
        MachineFacts(
            agent_id=agent.agent_id,
            label_set=agent.label_set,
            absent=find_absence(agent, moment, refusals.get(agent.number)),
            disk_free=agent.disk_free,
            bytes_per_second=_get_rate(agent),
            assigned=frozenset(model_id for model_id, numbers in assigned.items() if agent.number in numbers),
            replicas=replicas.get(agent.number, {}),
            pins=pins.get(agent.number, {}),
        )
        for agent in agents
    ]


def _get_rate(agent: AgentRow) -> int | None:
    """Return the bytes a second that a machine downloads now; None if it does not, or did not report it."""
    done, total, seconds = agent.sync_bytes_done, agent.sync_bytes_total, agent.sync_seconds_left
    return None if done is None or total is None or not seconds else max(1, (total - done) // seconds)


def _load_pins(session: Session, agents: Sequence[AgentRow], ids: Sequence[UUID]) -> dict[int, dict[UUID, int]]:
    """Return the versions of these models that are pinned on each machine."""
    pins: dict[int, dict[UUID, int]] = {}
    numbers = [agent.number for agent in agents if agent.pin_set]
    for (number, model_id), version in find_pins(session, numbers, ids).items():
        pins.setdefault(number, {})[model_id] = version.number
    return pins


def _load_replicas(session: Session, ids: Collection[UUID]) -> dict[int, dict[UUID, Replica]]:
    """Return the reported states of these models by machine."""
    columns = (_states.c.agent_number, _states.c.model_id, _states.c.state, _states.c.reason, _states.c.bytes_done)
    rows = session.connection().execute(select(*columns).where(_states.c.model_id.in_(ids)))
    replicas: dict[int, dict[UUID, Replica]] = {}
    for number, model_id, state, reason, bytes_done in rows:
        replicas.setdefault(number, {})[model_id] = Replica(cast(ModelState, state), reason, bytes_done)
    return replicas
