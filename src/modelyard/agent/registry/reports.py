"""Numbered reports of model states: which states the registry has received, and which to send next.

The rules are those of ``wire.agents.heartbeats.Heartbeat``. Pure: the caller sends what ``get_next_report`` returns,
and calls ``record_answer`` once it is answered.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import attrgetter
from uuid import UUID

from modelyard.sync.apply.replica_states import ReplicaState
from modelyard.wire.agents.heartbeats import ReportedModel
from modelyard.wire.agents.values import MAX_HEARTBEAT_STATES, ModelState
from modelyard.wire.texts.invisible_characters import replace_unprintable

_MAX_TEXT_LENGTH = 2000
# A registry reads bodies of at most 1 MiB; a state takes this many bytes besides its path and reason.
_MAX_REPORT_BYTES = 600_000
_BYTES_PER_STATE = 200
# A model on several installs of one machine is reported with the first of these that applies.
_WORST_FIRST: tuple[ModelState, ...] = (
    "conflict",
    "failed",
    "blocked",
    "downloading",
    "verifying",
    "queued",
    "evicted",
    "ready",
)


@dataclass(frozen=True)
class Report:
    """The part of a heartbeat about models; ``is_new`` is False if it only repeats the last number."""

    series: str
    number: int
    models: tuple[ReportedModel, ...] = ()
    is_new: bool = False
    is_whole: bool = False
    whole_after: UUID | None = None
    is_last: bool = False


# Compares ids as UUIDs compare among themselves, but faster.
_to_number = attrgetter("int")


def _generate_series() -> str:
    """Return a random name for a series of reports."""
    return secrets.token_hex(8)


class Reports:
    """The states of one machine's models and which of them are unreported. Belongs to one event loop.

    Nothing is reported before the first ``set_all_states``, because until then the full set is unknown.
    """

    def __init__(self, generate_series: Callable[[], str] = _generate_series) -> None:
        self._generate_series = generate_series
        self._states: dict[UUID, ReportedModel] = {}
        self._changed: set[UUID] = set()
        self._entries: Mapping[UUID, datetime] = {}
        self._has_all_states = False
        self._answered = Report("", 0)
        self._pending: Report | None = None
        self._whole_after: UUID | None = None
        self._is_whole_reported = False
        self.version = 0  # incremented with each change of a state

    @property
    def states(self) -> Mapping[UUID, ReportedModel]:
        """The current state of each model."""
        return self._states

    @property
    def has_unreported(self) -> bool:
        """Whether states are to be reported or a report awaits its answer; False before ``set_all_states``."""
        return self._has_all_states and (
            not self._is_whole_reported or bool(self._changed) or self._pending is not None
        )

    def start_new_series(self) -> None:
        """Make all states unreported, and begin a new series; a report that awaits its answer is dropped."""
        self._answered = Report(self._generate_series(), 0)
        self._pending = None
        self._whole_after = None
        self._is_whole_reported = False
        self._changed.clear()

    def set_manifest_entries(self, entries: Mapping[UUID, datetime]) -> None:
        """Record when the manifest's entries were updated; models whose entry is new or changed are reported again."""
        for model_id, updated_at in entries.items():
            if model_id in self._states and self._entries.get(model_id) != updated_at:
                self._changed.add(model_id)
        self._entries = dict(entries)

    def set_state(self, replica_state: ReplicaState) -> None:
        """Record a model's state in place of the known one; a removed model (state None) is ignored."""
        if replica_state.state is not None:
            self._set_state(_to_reported_model(replica_state))

    def set_all_states(self, replica_states: Iterable[ReplicaState]) -> None:
        """Record the worst state of each model and drop the other models.

        The first call makes all states unreported.
        """
        worst = _find_worst_states(replica_states)
        for model_id in self._states.keys() - worst.keys():
            # The registry itself deletes the states of models that the machine should not have.
            del self._states[model_id]
            self.version += 1
            self._changed.discard(model_id)
        for reported in worst.values():
            self._set_state(reported)
        if not self._has_all_states:
            self._has_all_states = True
            self.start_new_series()

    def get_next_report(self) -> Report:
        """Return the report for the next heartbeat; the same one again until ``record_answer`` is called for it.

        If nothing is unreported, it has no states and repeats the last number.
        """
        if self._pending is not None:
            return self._pending
        if not self._has_all_states:
            return self._answered
        if not self._is_whole_reported:
            self._pending = self._build_next_part()
        elif self._changed:
            self._pending = self._build_report(self._select_fitting_states(sorted(self._changed, key=_to_number)))
        else:
            return self.get_last_number()
        return self._pending

    def get_last_number(self) -> Report:
        """Return a report without states that repeats the number of the last answered one."""
        return replace(self._answered, models=(), is_new=False, is_whole=False, whole_after=None, is_last=False)

    def record_answer(self, report: Report, *, resend_all: bool) -> None:
        """Record that the registry has a report, whose states are reported then, or that it asks for all states again.

        A report that is not the pending one is ignored.
        """
        if resend_all:
            self.start_new_series()
            return
        if report is not self._pending:
            return
        self._answered, self._pending = report, None
        for reported in report.models:
            if self._states.get(reported.model_id) == reported:
                self._changed.discard(reported.model_id)
        if report.is_whole:
            self._whole_after = report.models[-1].model_id if report.models else self._whole_after
            self._is_whole_reported = report.is_last

    def _set_state(self, reported: ReportedModel) -> None:
        """Record one model's state; if it differs from the recorded one, it becomes unreported."""
        if self._states.get(reported.model_id) != reported:
            self._states[reported.model_id] = reported
            self.version += 1
            self._changed.add(reported.model_id)

    def _build_next_part(self) -> Report:
        """Return the report of the next part of the full set of states, in the order of ids."""
        after = self._whole_after
        ids = sorted((each for each in self._states if after is None or each > after), key=_to_number)
        models = self._select_fitting_states(ids)
        return replace(self._build_report(models), is_whole=True, whole_after=after, is_last=len(models) == len(ids))

    def _select_fitting_states(self, ids: Sequence[UUID]) -> tuple[ReportedModel, ...]:
        """Return the states of the first ids, as many as fit into one heartbeat; nothing is recorded."""
        fitting: list[ReportedModel] = []
        bytes_left = _MAX_REPORT_BYTES
        for model_id in ids[:MAX_HEARTBEAT_STATES]:
            reported = self._states[model_id]
            bytes_left -= _BYTES_PER_STATE + len(f"{reported.model_path or ''}{reported.reason or ''}".encode())
            if bytes_left < 0:
                break
            fitting.append(reported)
        return tuple(fitting)

    def _build_report(self, models: tuple[ReportedModel, ...]) -> Report:
        """Return a new report with the next number of the series."""
        return Report(self._answered.series, self._answered.number + 1, models, is_new=True)


def to_report_text(text: str) -> str:
    """Return a text as a heartbeat can carry it: unprintable characters replaced, and at most 2000 characters."""
    clean = replace_unprintable(text, lambda _: "\N{REPLACEMENT CHARACTER}")
    return clean if len(clean) <= _MAX_TEXT_LENGTH else f"{clean[: _MAX_TEXT_LENGTH - 1]}…"


def _find_worst_states(replica_states: Iterable[ReplicaState]) -> dict[UUID, ReportedModel]:
    """Return each model's state, the worst of several by ``_WORST_FIRST``; removed models are left out."""
    worst: dict[UUID, ReportedModel] = {}
    for replica_state in replica_states:
        if replica_state.state is None:
            continue
        reported, known = _to_reported_model(replica_state), worst.get(replica_state.model_id)
        if known is None or _WORST_FIRST.index(reported.state) < _WORST_FIRST.index(known.state):
            worst[reported.model_id] = reported
    return worst


def _to_reported_model(replica_state: ReplicaState) -> ReportedModel:
    """Return a replica state as a heartbeat carries it; the model must not be a removed one.

    Raises:
        ValueError: it is a removed model, which is not reported.
    """
    if replica_state.state is None:
        raise ValueError("A removed model is not reported.")
    reason = None if replica_state.reason is None else to_report_text(replica_state.reason)
    return ReportedModel(
        model_id=replica_state.model_id,
        version=replica_state.version,
        state=replica_state.state,
        model_path=replica_state.model_path if replica_state.state == "ready" else None,
        reason=reason,
        bytes_done=replica_state.bytes_done,
    )
