"""What the registry has been told of each model, and what it has not: numbered reports that both sides can compare.

The rules are those of ``wire.agents.Heartbeat``. Pure: somebody else sends what ``next_report`` gives, and says how
that went.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import attrgetter
from uuid import UUID

from modelyard.client.sync.acting.standing import Standing
from modelyard.wire.agents import MOST_STATES, ModelState, ReportedModel

_LONGEST_SENTENCE = 2000
# A registry reads bodies of 1 MiB; of each state, this much is not its reason.
_MOST_BYTES = 600_000
_BYTES_OF_A_STATE = 200
# Of several installs on one machine, the one that is worst off speaks for the model.
_WORST_FIRST: tuple[ModelState, ...] = (
    "conflict",
    "failed",
    "blocked",
    "downloading",
    "verifying",
    "wanted",
    "ready",
)


@dataclass(frozen=True)
class Report:
    """The part of a heartbeat that is about models; ``is_news`` is False where it only repeats the last number."""

    series: str
    number: int
    models: tuple[ReportedModel, ...] = ()
    is_news: bool = False
    is_whole: bool = False
    whole_after: UUID | None = None
    is_last: bool = False


_number = attrgetter("int")


def _new_series() -> str:
    return secrets.token_hex(8)


class Reports:
    """Belongs to one event loop. Nothing is reported before the first ``settle``: until then nobody knows the whole."""

    def __init__(self, new_series: Callable[[], str] = _new_series) -> None:
        self._new_series = new_series
        self._states: dict[UUID, ReportedModel] = {}
        self._changed: set[UUID] = set()
        self._entries: Mapping[UUID, datetime] = {}
        self._is_settled = False
        self._answered = Report("", 0)
        self._under_way: Report | None = None
        self._whole_after: UUID | None = None
        self._is_whole_told = False
        self.version = 0  # grows with each change of a state

    @property
    def states(self) -> Mapping[UUID, ReportedModel]:
        """Where each model stands now."""
        return self._states

    @property
    def has_news(self) -> bool:
        """Whether there is something to tell."""
        return self._is_settled and (not self._is_whole_told or bool(self._changed) or self._under_way is not None)

    def begin_anew(self) -> None:
        """Tell everything again, in a new series."""
        self._answered = Report(self._new_series(), 0)
        self._under_way = None
        self._whole_after = None
        self._is_whole_told = False
        self._changed.clear()

    def follow(self, entries: Mapping[UUID, datetime]) -> None:
        """A manifest came, with the time at which each entry last changed; what is new in it is told again."""
        for model_id, updated_at in entries.items():
            if model_id in self._states and self._entries.get(model_id) != updated_at:
                self._changed.add(model_id)
        self._entries = dict(entries)

    def hear(self, standing: Standing) -> None:
        """One model got on, while a plan is carried out."""
        if standing.state is not None:
            self._set(_reported(standing))

    def settle(self, standings: Iterable[Standing]) -> None:
        """What is true of all models; what is not named here is not here any more."""
        worst: dict[UUID, ReportedModel] = {}
        for standing in standings:
            if standing.state is None:
                continue
            told, known = _reported(standing), worst.get(standing.model_id)
            if known is None or _WORST_FIRST.index(told.state) < _WORST_FIRST.index(known.state):
                worst[told.model_id] = told
        for model_id in self._states.keys() - worst.keys():
            # The registry forgets by itself what a machine should not have.
            del self._states[model_id]
            self.version += 1
            self._changed.discard(model_id)
        for told in worst.values():
            self._set(told)
        if not self._is_settled:
            self._is_settled = True
            self.begin_anew()

    def next_report(self) -> Report:
        """What the next heartbeat says; the same again until ``answered`` is called."""
        if self._under_way is not None:
            return self._under_way
        if not self._is_settled:
            return self._answered
        if not self._is_whole_told:
            self._under_way = self._next_part()
        elif self._changed:
            self._under_way = self._following(self._some_of(sorted(self._changed, key=_number)))
        else:
            return replace(self._answered, models=(), is_news=False, is_whole=False, whole_after=None, is_last=False)
        return self._under_way

    def answered(self, report: Report, *, resend_all: bool) -> None:
        """The registry has this report, or wants everything anew."""
        if resend_all:
            self.begin_anew()
            return
        if report is not self._under_way:
            return
        self._answered, self._under_way = report, None
        for told in report.models:
            if self._states.get(told.model_id) == told:
                self._changed.discard(told.model_id)
        if report.is_whole:
            self._whole_after = report.models[-1].model_id if report.models else self._whole_after
            self._is_whole_told = report.is_last

    def _set(self, told: ReportedModel) -> None:
        if self._states.get(told.model_id) != told:
            self._states[told.model_id] = told
            self.version += 1
            self._changed.add(told.model_id)

    def _next_part(self) -> Report:
        after = self._whole_after
        # By number, as they compare among themselves, only without asking each of them.
        ids = sorted((each for each in self._states if after is None or each > after), key=_number)
        models = self._some_of(ids)
        return replace(self._following(models), is_whole=True, whole_after=after, is_last=len(models) == len(ids))

    def _some_of(self, ids: Sequence[UUID]) -> tuple[ReportedModel, ...]:
        """The states of the first ids, as many as one heartbeat carries."""
        some: list[ReportedModel] = []
        left = _MOST_BYTES
        for model_id in ids[:MOST_STATES]:
            told = self._states[model_id]
            left -= _BYTES_OF_A_STATE + len((told.reason or "").encode())
            if left < 0:
                break
            some.append(told)
        return tuple(some)

    def _following(self, models: tuple[ReportedModel, ...]) -> Report:
        return Report(self._answered.series, self._answered.number + 1, models, is_news=True)


def sentence(text: str) -> str:
    """The text as a heartbeat can carry it."""
    clean = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return clean if len(clean) <= _LONGEST_SENTENCE else f"{clean[: _LONGEST_SENTENCE - 1]}…"


def _reported(standing: Standing) -> ReportedModel:
    if standing.state is None:
        raise ValueError("A model that has gone is not reported.")
    reason = None if standing.reason is None else sentence(standing.reason)
    return ReportedModel(
        model_id=standing.model_id, state=standing.state, reason=reason, bytes_done=standing.bytes_done
    )
