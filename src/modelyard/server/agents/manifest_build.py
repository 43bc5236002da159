"""Builds the manifest of all machines with the same labels, and the ends of those with assigned models."""

import functools
import hashlib
import json
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row as ResultRow
from sqlalchemy import Select, null, select

from modelyard.server import revisions
from modelyard.server.agents.pinned_contents import PinnedContent, load_pinned_contents
from modelyard.server.database.session import Database, get_table
from modelyard.server.http.compression import GzippedText, gzip_with_end
from modelyard.server.models.replicas.assignments import is_of_team
from modelyard.server.models.replicas.desired import is_desired
from modelyard.server.models.replicas.labels import FOLDERS, has_all_labels
from modelyard.server.models.replicas.tables import AgentRow, AssignmentRow
from modelyard.server.models.tables import ModelRow

# What follows the last entry in the JSON.
_END = b"]}"

Rows = Sequence[ResultRow[*tuple[Any, ...]]]
_models, _assignments, _agents = get_table(ModelRow), get_table(AssignmentRow), get_table(AgentRow)


class ManifestKey(NamedTuple):
    """What a manifest is built for; all machines with the same one share it.

    ``has_previews``: whether its entries name the models' pictures. Other machines do not ask for them, so a new
    picture is no new manifest for them. ``pin_set`` is that of the machines.
    """

    team_id: UUID
    label_set: str
    has_previews: bool
    pin_set: str = ""


@dataclass(frozen=True)
class Manifest:
    """The manifest of one machine: its ETag, which is a hash of the models in it, and its JSON in gzip."""

    etag: str
    compressed: bytes


@dataclass(frozen=True)
class OwnEnd:
    """The end of the manifest of machines with the same assignments and budget, and the ETag of the whole.

    ``parts`` are joined by commas to the JSON after the last entry that all machines share. Other ends share them.
    ``close`` ends the list of entries and the JSON.
    """

    etag: str
    parts: Sequence[bytes]
    close: bytes = _END


@dataclass(frozen=True)
class CachedManifest:
    """The manifests of all machines with one label set, at one revision; ``etag`` and ``text`` are of the common one.

    ``own_ends`` has, by the number of a machine, the other end of its manifest if models are assigned to it that the
    label set does not give it. ``size`` is the number of bytes that all of this takes in memory. ``pin_set`` is that of
    the key, or empty if no machine had it when the manifest was built.
    """

    revision: int
    etag: str
    text: GzippedText
    own_ends: Mapping[int, OwnEnd]
    build_seconds: float
    size: int
    pin_set: str = ""

    def get_etag(self, number: int) -> str:
        """Return the ETag of the manifest of one machine."""
        end = self.own_ends.get(number)
        return self.etag if end is None else end.etag

    def build_for(self, number: int) -> Manifest:
        """Return the manifest of one machine; of one of its own, only the end is compressed."""
        end = self.own_ends.get(number)
        if end is None:
            return Manifest(self.etag, self.text.compressed)
        return Manifest(end.etag, self.text.replace_end(b",".join(end.parts) + end.close))


def build_manifest(database: Database, key: ManifestKey) -> CachedManifest:
    """Build a manifest, entries sorted by id, and measure the processor time."""
    started = time.thread_time()
    desired = select(
        *(_models.c.id, _models.c.current_version, _models.c.model_path, _models.c.model_type),
        *(_models.c.file_size, _models.c.file_hash, _models.c.blake3_hash, _models.c.updated_at),
        *(_models.c.verification, _models.c.label_set, _models.c.file_count),
        _models.c.preview_sha256 if key.has_previews else null().label("preview_sha256"),
    ).where(is_desired(key.team_id))
    assigned = select(_assignments.c.model_id, _assignments.c.agent_number).where(is_of_team(key.team_id))
    with database.reading() as session:
        revision = revisions.get_totals(session, key.team_id).revision
        rows = session.connection().execute(desired).all()
        pairs = session.connection().execute(assigned.order_by(_assignments.c.model_id)).all()
        able = set(session.connection().scalars(_select_able(key.team_id)))
        budgets = session.connection().execute(_select_budgets(key.team_id)).all()
        pinned = load_pinned_contents(session, key.team_id, key.pin_set) if key.pin_set else None
    folders = {row.id for row in rows if row.file_count is not None}
    pairs = [pair for pair in pairs if pair.model_id not in folders or pair.agent_number in able]
    build_entry = functools.partial(_build_entry, pinned=pinned or {})
    shared = [row for row in rows if has_all_labels(row.label_set, key.label_set)]
    models = _encode(sorted(map(build_entry, shared), key=lambda entry: entry["id"]))
    etag = _build_etag(models)
    text = gzip_with_end(b'{"revision":%d,"model_list":%s' % (revision, models[:-1]), _END)
    own_ids = {pair.model_id for pair in pairs} - {row.id for row in shared}
    own_entries = {row.id: _encode(build_entry(row)) for row in rows if row.id in own_ids}
    closes = _build_closes(budgets, pairs, {row.id for row in rows})
    own_ends = _build_own_ends(own_entries, pairs, closes, etag, has_shared=bool(shared))
    size = len(text.compressed) + _count_bytes(own_ends.values())
    pin_set = "" if pinned is None else key.pin_set
    return CachedManifest(revision, etag, text, own_ends, time.thread_time() - started, size, pin_set)


def _select_able(team_id: UUID) -> Select[Any]:
    """Build the query for the numbers of the team's machines that place folders."""
    return select(_agents.c.number).where(_agents.c.team_id == team_id, _agents.c.label_set.contains(FOLDERS))


def _select_budgets(team_id: UUID) -> Select[Any]:
    """Build the query for the numbers of the team's machines that have a disk budget, with the budget."""
    of_team = _agents.c.team_id == team_id, _agents.c.disk_budget_bytes.is_not(None)
    return select(_agents.c.number, _agents.c.disk_budget_bytes).where(*of_team)


def _build_closes(budgets: Rows, pairs: Rows, desired: Collection[UUID]) -> dict[int, bytes]:
    """Return the last bytes of the manifest of each machine with a budget: the budget, and what is assigned to it."""
    assigned: dict[int, list[str]] = {number: [] for number, _ in budgets}
    for model_id, number in pairs:
        if number in assigned and model_id in desired:
            assigned[number].append(str(model_id))
    return {
        number: b"]," + _encode({"disk_budget_bytes": budget, "assigned_ids": assigned[number]})[1:]
        for number, budget in budgets
    }


def _build_own_ends(
    entries: Mapping[UUID, bytes], pairs: Rows, closes: Mapping[int, bytes], etag: str, *, has_shared: bool
) -> dict[int, OwnEnd]:
    """Return the end of each machine's own manifest, by its number; built once for equal assignments and budgets.

    ``entries`` are those of assigned models that not all machines share, ``pairs`` the assignments: a model's id and a
    machine's number. ``closes`` are the last bytes for machines with a budget. ``etag`` is that of the shared entries,
    if there are any (``has_shared``).
    """
    assigned: dict[int, list[UUID]] = {number: [] for number in closes}
    for model_id, number in pairs:
        if model_id in entries:
            assigned.setdefault(number, []).append(model_id)

    @functools.cache
    def build_end(ids: tuple[UUID, ...], close: bytes) -> OwnEnd:
        own = [entries[model_id] for model_id in ids]
        last = [] if close == _END else [close]
        # The empty part puts a comma before the others.
        parts = [b"", *own] if has_shared and own else own
        return OwnEnd(_build_etag(etag.encode(), *own, *last), parts, close)

    return {number: build_end(tuple(ids), closes.get(number, _END)) for number, ids in assigned.items()}


def _count_bytes(ends: Iterable[OwnEnd]) -> int:
    """Return the number of bytes of the parts of these ends; what several ends share is counted once."""
    distinct = {id(end): end for end in ends}.values()
    return sum({id(part): len(part) for end in distinct for part in (*end.parts, end.close)}.values())


def _encode(value: object) -> bytes:
    """Return a value as JSON without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _build_etag(*parts: bytes) -> str:
    """Return an ETag that is a hash of these parts."""
    return f'"{hashlib.sha256(b",".join(parts)).hexdigest()[:32]}"'


def _build_entry(row: ResultRow[*tuple[Any, ...]], pinned: Mapping[UUID, PinnedContent]) -> dict[str, Any]:
    """Build an entry of the current version, or of the pinned one.

    ``keep`` is true for content that failed a re-verification: kept where it is, not downloaded.
    """
    entry = {
        "id": str(row.id),
        "version": row.current_version,
        "model_path": row.model_path,
        "model_type": row.model_type,
        "file_size": row.file_size,
        "file_hash": row.file_hash,
        "blake3_hash": row.blake3_hash,
        "updated_at": row.updated_at.isoformat(),
        "keep": row.verification != "verified",
        "preview_sha256": row.preview_sha256,
        "pin_conflict": None,
    }
    if row.file_count is not None:
        entry["is_folder"] = True
    return entry | pinned[row.id].changes if row.id in pinned else entry
