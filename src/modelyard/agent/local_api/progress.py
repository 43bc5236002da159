"""The progress of models that users of this machine requested."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from uuid import UUID

from modelyard.agent.local_api.shapes import ModelProgress
from modelyard.client.api.manifests import ReceivedManifest
from modelyard.wire.agents.heartbeats import ReportedModel
from modelyard.wire.agents.manifests import ManifestEntry

# Within this time after a request, the manifest may not name its models yet.
MANIFEST_SECONDS = 15.0
# Seconds between two requests for the pending models.
PENDING_SECONDS = 15.0
_MAX_REMEMBERED = 10_000
_PENDING = "It waits for its verification."
_NOT_LISTED = (
    "The registry does not give this model to this machine: it was deleted or disabled, its verification failed, or "
    "its assignment was ended."
)


@dataclass(frozen=True)
class KnownStates:
    """What the agent knows when progress is asked for: the manifest's entries, the reported states, the connection."""

    entries: Mapping[UUID, ManifestEntry]
    reported: Mapping[UUID, ReportedModel]
    connection_problem: str | None


class RequestTracker:
    """Remembers which models were requested when, which of them are pending, and which the manifest has named since."""

    def __init__(self) -> None:
        self._requested_at: OrderedDict[UUID, float] = OrderedDict()
        self._listed: set[UUID] = set()
        self._pending: set[UUID] = set()
        self._pending_at = 0.0
        self._manifest: ReceivedManifest | None = None
        self._entries: dict[UUID, ManifestEntry] = {}

    def record(self, ids: Iterable[UUID], moment: float, pending: Iterable[UUID] = ()) -> None:
        """Record when models were requested and which are pending; only the last ``_MAX_REMEMBERED`` are kept."""
        if not self._pending:
            self._pending_at = moment
        for model_id in ids:
            self._requested_at[model_id] = moment
            self._requested_at.move_to_end(model_id)
            self._listed.discard(model_id)
            self._pending.discard(model_id)
        self._pending.update(pending)
        while len(self._requested_at) > _MAX_REMEMBERED:
            dropped, _ = self._requested_at.popitem(last=False)
            self._listed.discard(dropped)
            self._pending.discard(dropped)

    def is_pending_due(self, ids: Iterable[UUID], moment: float) -> bool:
        """Return whether one of the models is pending, and the registry should be asked again which are."""
        return moment >= self._pending_at + PENDING_SECONDS and not self._pending.isdisjoint(ids)

    def begin_pending_request(self, moment: float) -> frozenset[UUID]:
        """Record that the registry is asked now what is pending, and return the models that are before its answer."""
        self._pending_at = moment
        return frozenset(self._pending)

    def set_pending(self, asked: Set[UUID], pending: Iterable[UUID], moment: float) -> None:
        """Record which models the registry says are pending; the manifest should name the others of ``asked`` soon.

        Models that were requested since the registry was asked stay pending: its answer may not name them.
        """
        for model_id in (self._pending & asked).difference(pending):
            self._pending.discard(model_id)
            self._requested_at[model_id] = moment

    def index_manifest(self, manifest: ReceivedManifest | None) -> Mapping[UUID, ManifestEntry]:
        """Return the entries of the newest manifest by id, and remember which requested models it names."""
        if manifest is not self._manifest:
            self._manifest = manifest
            self._entries = {} if manifest is None else {entry.id: entry for entry in manifest.model_list}
        self._listed |= self._requested_at.keys() & self._entries.keys()
        self._pending -= self._entries.keys()
        return self._entries

    def describe(self, model_id: UUID, known: KnownStates, moment: float) -> ModelProgress:
        """Return the progress of one model; ``moment`` is of the clock of ``record``."""
        entry, reported = known.entries.get(model_id), known.reported.get(model_id)
        if entry is None:
            return self._describe_unlisted(model_id, known, moment)
        if reported is None or reported.version not in (None, entry.version):
            problem = known.connection_problem
            return _build_progress(model_id, "queued", file_size=entry.file_size, problem=problem)
        is_ready = reported.state == "ready"
        return ModelProgress(
            id=model_id,
            state=reported.state,
            received_bytes=entry.file_size if is_ready else min(reported.bytes_done, entry.file_size),
            file_size=entry.file_size,
            problem=reported.reason or (None if is_ready else known.connection_problem),
        )

    def _describe_unlisted(self, model_id: UUID, known: KnownStates, moment: float) -> ModelProgress:
        """Return the progress of a model that the manifest does not name: not yet, no longer, or not requested."""
        requested_at = self._requested_at.get(model_id)
        if requested_at is None:
            return _build_progress(model_id, "absent")
        if model_id in self._pending:
            return _build_progress(model_id, "queued", problem=known.connection_problem or _PENDING)
        is_early = model_id not in self._listed and moment < requested_at + MANIFEST_SECONDS
        if is_early or known.connection_problem is not None:
            return _build_progress(model_id, "queued", problem=known.connection_problem)
        return _build_progress(model_id, "absent", problem=_NOT_LISTED)


def _build_progress(
    model_id: UUID, state: str, *, file_size: int | None = None, problem: str | None = None
) -> ModelProgress:
    """Build the progress of a model of which nothing is here."""
    values = {"id": model_id, "state": state, "received_bytes": 0, "file_size": file_size, "problem": problem}
    return ModelProgress.model_validate(values)
