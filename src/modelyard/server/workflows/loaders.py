"""Loader nodes that the registry does not know: which of their inputs name models, by the team and its machines."""

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import and_, case, delete, distinct, func, select, tuple_
from sqlalchemy.orm import Session

from modelyard.comfyui.loader_inputs import ANY_INPUT
from modelyard.comfyui.workflows.references import ModelReference
from modelyard.server.agents.operations import get_own_agent
from modelyard.server.database.session import (
    IDS_AT_ONCE,
    Database,
    execute_and_count,
    get_table,
    insert_rows,
    split_ids,
)
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.teams.context import TeamContext
from modelyard.server.teams.operations import load_team_loaders
from modelyard.server.workflows.tables import ReportedLoaderRow
from modelyard.wire.agent_requests.loaders import LoaderReport
from modelyard.wire.paths import get_canonical_type

_loaders = get_table(ReportedLoaderRow)
_COLUMNS = (ReportedLoaderRow.node_type, ReportedLoaderRow.input, ReportedLoaderRow.folder)
# Whether all machines with a node report ``ANY_INPUT`` of it, which each has once.
_ALL_AGREE = func.count(distinct(ReportedLoaderRow.agent_number)) == func.sum(
    case((ReportedLoaderRow.input == ANY_INPUT, 1), else_=0)
)
# The folders that are known for an input of a node type.
Folders = Mapping[tuple[str, str], Set[str]]


def record_loaders(database: Database, team: TeamContext, report: LoaderReport) -> None:
    """Store the loader inputs of the caller's machine, in place of those that it reported before. May be repeated.

    A report of what is stored opens no writing transaction; another one writes only the inputs that differ.

    Raises:
        KeyNotAllowed, AgentUnknown: see ``get_own_agent``.
    """
    reported = {(each.node_type, each.input): get_canonical_type(each.folder) for each in report.loader_list}
    with database.reading() as session:
        if _load_reported(session, get_own_agent(session, team, report.agent_id)) == reported:
            return
    with database.writing(team.team_id) as session:
        agent = get_own_agent(session, team, report.agent_id)
        stored = _load_reported(session, agent)
        removed, added = stored.items() - reported.items(), reported.items() - stored.items()
        _delete_reported(session, agent, [key for key, _ in removed])
        insert_rows(session, ReportedLoaderRow, [_build_values(agent, *each) for each in added])


def _load_reported(session: Session, agent: AgentRow) -> dict[tuple[str, str], str]:
    """Return the folders of the inputs that a machine reported last, by node type and input."""
    of_agent = _loaders.c.agent_number == agent.number
    rows = session.execute(select(_loaders.c.node_type, _loaders.c.input, _loaders.c.folder).where(of_agent))
    return {(node_type, name): folder for node_type, name, folder in rows}


def _delete_reported(session: Session, agent: AgentRow, keys: Sequence[tuple[str, str]]) -> None:
    """Delete what a machine reported for these node types and inputs."""
    for part in split_ids(keys):
        of_keys = tuple_(_loaders.c.node_type, _loaders.c.input).in_(part)
        execute_and_count(session, delete(_loaders).where(_loaders.c.agent_number == agent.number, of_keys))


def _build_values(agent: AgentRow, key: tuple[str, str], folder: str) -> dict[str, Any]:
    """Return the row of one input."""
    node_type, name = key
    columns = {"node_type": node_type, "input": name, "folder": folder}
    return {"agent_number": agent.number, "team_id": agent.team_id, **columns}


def add_folders(session: Session, team_id: UUID, references: Sequence[ModelReference]) -> list[ModelReference]:
    """Return the references; those whose folder is unknown get that of the team's table or of its machines.

    The team's table takes precedence. If it has one folder for all inputs of a node, values without the name of an
    input have it too, as they have if machines report that all models of the node are of one folder.
    """
    unknown = sorted({each.node_type for each in references if each.folder is None})
    if not unknown:
        return list(references)
    sources = _load_team_folders(session, team_id), _load_reported_folders(session, team_id, unknown)
    return [_add_folder(each, sources) for each in references]


def _load_team_folders(session: Session, team_id: UUID) -> Folders:
    """Return the folders of the team's own table; all of those of a node for the input ``""``."""
    folders: dict[tuple[str, str], set[str]] = defaultdict(set)
    for each in load_team_loaders(session, team_id):
        for name in (each.input, ""):
            folders[each.node_type, name].add(get_canonical_type(each.folder))
    return folders


def _load_reported_folders(session: Session, team_id: UUID, node_types: Sequence[str]) -> Folders:
    """Return the folders that machines of the team report for the inputs of these nodes.

    The folder for the input ``""`` is that of ``ANY_INPUT``, if all machines that have the node report it. Of a node
    with models of several folders, there are several for it.
    """
    folders: dict[tuple[str, str], set[str]] = defaultdict(set)
    for start in range(0, len(node_types), IDS_AT_ONCE):
        of_types = and_(
            ReportedLoaderRow.team_id == team_id,
            ReportedLoaderRow.node_type.in_(node_types[start : start + IDS_AT_ONCE]),
        )
        by_node = select(ReportedLoaderRow.node_type).where(of_types).group_by(ReportedLoaderRow.node_type)
        agreed = set(session.scalars(by_node.having(_ALL_AGREE)))
        for node_type, name, folder in session.execute(select(*_COLUMNS).where(of_types).distinct()):
            if name != ANY_INPUT:
                folders[node_type, name].add(folder)
            if node_type in agreed:
                folders[node_type, ""].add(folder)
    return folders


def _add_folder(reference: ModelReference, sources: Sequence[Folders]) -> ModelReference:
    """Return a reference with its folder, if it has none, by the first source that has one for its input."""
    if reference.folder is not None:
        return reference
    named = [folders.get((reference.node_type, reference.input), frozenset()) for folders in sources]
    found = next((each for each in named if each), frozenset())
    return replace(reference, folder=next(iter(found))) if len(found) == 1 else reference
