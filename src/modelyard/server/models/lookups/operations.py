"""Lookups of models by hashes, paths and ids, and the hashes of one model."""

from collections.abc import Collection, Iterable, Iterator
from typing import TypedDict
from uuid import UUID

import uuid_utils
from sqlalchemy.orm import Session

from modelyard.server.inspection.description.training_metadata import CLAIM_NAMES
from modelyard.server.models.lookups.by_hash import find_versions_by_hash
from modelyard.server.models.lookups.queries import (
    FoundRow,
    MachineLabels,
    find_shown_versions_at,
    find_shown_versions_by_id,
)
from modelyard.server.models.operations import find_model
from modelyard.server.models.replicas.key_access import load_label_sets_of_key
from modelyard.server.models.versions.access import get_readable_version
from modelyard.server.teams.context import TeamContext
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire.hashes.lookups import HashClaim, MatchName, ModelHashes, ModelLookup
from modelyard.wire.hashes.texts import AUTOV2_DIGITS
from modelyard.wire.paths import build_path_key, get_canonical_type


class Match(TypedDict):
    """A version of a model that a hash, path or id means, with the fields of ``LookupMatch``."""

    asked: str
    matched_by: MatchName
    id: str
    version: int
    model_path: str
    file_hash: str | None


class Matches(TypedDict):
    """What a lookup found, with fields of ``LookupResult``."""

    match_list: list[Match]
    capped_list: list[str]


def look_up_models(session: Session, team: TeamContext, lookup: ModelLookup) -> Matches:
    """Return the team's models that the hashes, paths and ids mean, outside the trash; by hash, any verified version.

    A machine's key finds only what its manifests list. Each hash has a limited number of matches.
    """
    hashes = dict.fromkeys(lookup.hashes)
    machines = load_label_sets_of_key(session, team) if team.caller.kind == "agent" else None
    found = find_versions_by_hash(session, team, hashes, machines)
    by_hash = [
        _build_match(text, match.blob.name, match.version, f"sha256:{match.blob.sha256}")
        for text in hashes
        for match in found.by_text[text]
    ]
    by_path = _match_paths(session, team, lookup.paths, machines)
    by_id = _match_ids(session, team, lookup.ids, machines)
    capped = [text for text in hashes if text in found.capped]
    return {"match_list": [*by_hash, *by_path, *by_id], "capped_list": capped}


def _build_match(asked: str, matched_by: MatchName, version: FoundRow, file_hash: str | None) -> Match:
    return {
        "asked": asked,
        "matched_by": matched_by,
        "id": str(uuid_utils.UUID(version.id)),
        "version": version.number,
        "model_path": version.model_path,
        "file_hash": file_hash,
    }


def _match_paths(session: Session, team: TeamContext, paths: Iterable[str], machines: MachineLabels) -> Iterator[Match]:
    """Yield the shown version of the model at each path, or at one that is the same file on some machine."""
    keys = {path: _build_path_key(path) for path in paths}
    models = {model.path_key: model for model in find_shown_versions_at(session, team, {*keys.values()}, machines)}
    for path, key in keys.items():
        if key in models:
            yield _build_match(path, "path", models[key], models[key].file_hash)


def _match_ids(session: Session, team: TeamContext, ids: Collection[UUID], machines: MachineLabels) -> Iterator[Match]:
    """Yield the shown version of each model."""
    models = {UUID(model.id): model for model in find_shown_versions_by_id(session, team, {*ids}, machines)}
    for model_id in dict.fromkeys(ids):
        if model_id in models:
            yield _build_match(str(model_id), "id", models[model_id], models[model_id].file_hash)


def _build_path_key(model_path: str) -> str:
    """Return the key of a path, see ``wire.paths``; one that no model can have finds none."""
    model_type, _, rest = model_path.removeprefix("models/").partition("/")
    return build_path_key(get_canonical_type(model_type), rest)


def get_hashes(session: Session, team: TeamContext, model_id: UUID, number: int | None) -> ModelHashes:
    """Return the known hashes of a version's content, and those that its file claims; without ``number`` the shown one.

    Raises:
        ModelNotFound, VersionNotFound
    """
    model = find_model(session, team, model_id)
    version = get_readable_version(session, team, model, model.shown_version if number is None else number)
    blob = session.get_one(BlobRow, version.blob_id)
    sha256 = None if blob.verified_at is None else blob.sha256
    extra = version.facts.get("extra", {})
    return ModelHashes(
        sha256=sha256,
        blake3=blob.blake3,
        autov1=blob.autov1,
        autov2=sha256 and sha256[:AUTOV2_DIGITS],
        autov3=blob.autov3,
        crc32=blob.crc32,
        claim_list=[HashClaim(name=name, digest=str(extra[name])) for name in CLAIM_NAMES if name in extra],
    )
