"""The models that pictures are written beside, as of the last reconciliation."""

from pathlib import Path
from typing import NamedTuple

from modelyard.agent.reconcile_result import ReconcileResult
from modelyard.client.api.manifests import ReceivedManifest
from modelyard.comfyui.layout import Install
from modelyard.sync.inventory.placement_journal import PlacementJournal
from modelyard.sync.previews.planner import ReadyModel
from modelyard.wire.hashes.texts import is_sha256


class Basis(NamedTuple):
    """What an update works from: the manifest and the result of its last reconciliation."""

    manifest: ReceivedManifest | None
    result: ReconcileResult


class PictureModels(NamedTuple):
    """The folders, the models that are ready in them, and the paths of all placed files."""

    installs: tuple[Install, ...]
    ready: tuple[ReadyModel, ...] = ()
    placed: frozenset[Path] = frozenset()


def load_picture_models(basis: Basis, installs: tuple[Install, ...], journal: PlacementJournal) -> PictureModels:
    """Return the models and their pictures; ``journal`` is that of the models. Blocking.

    Raises:
        StateFileError: see ``StateFile``.
    """
    entries = basis.manifest.model_list if basis.manifest else []
    pictures = {entry.id: entry.preview_sha256 for entry in entries}
    ready = tuple(
        ReadyModel(each.path, sha256 if is_sha256(sha256 := pictures[each.model_id]) else None)
        for each in basis.result.replica_states
        if each.state == "ready" and each.path is not None and each.model_id in pictures
    )
    return PictureModels(installs, ready, frozenset(row.path for row in journal.list_placements()))
