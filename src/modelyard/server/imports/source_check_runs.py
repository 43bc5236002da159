"""Checks of all models of a team for newer versions at their sources: start and read them, and the job that runs them.

One process at a time asks the sources, one model after the other, so a host gets one request at a time.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from modelyard.server.audit import operations as audit
from modelyard.server.database.base import new_id
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import Database, announce
from modelyard.server.encryption import SecretCipher
from modelyard.server.imports.callers import describe_problem, load_team_context
from modelyard.server.imports.import_leases import FIRST_PAUSE
from modelyard.server.imports.source_checks import check_source
from modelyard.server.imports.sources.lookup import Sources
from modelyard.server.imports.tables import SourceCheckRunRow
from modelyard.server.leases import Interruption
from modelyard.server.models.tables import ModelRow
from modelyard.server.teams.context import TeamContext
from modelyard.wire import problems
from modelyard.wire.imports.source_checks import (
    MAX_LISTED_FAILURES,
    FailedSourceCheck,
    SourceCheckRun,
    SourceChecks,
)
from modelyard.wire.versions import Creator

# Announced within this process when a check of all models is started.
SOURCE_CHECK_STARTED = "source-check-started"
# Models of a team that are checked before it is another team's turn.
BATCH = 20
# Requests in a row without an answer: after so many for one model it counts as failed; after so many to one host, its
# other models count as failed without a request. The first pause doubles with each.
MODEL_TRIES, MAX_TRIES = 3, 9
_LONGEST_PAUSE = timedelta(hours=1)


@dataclass(frozen=True)
class _Model:
    """A model to check, and host and port of the source that it names."""

    id: UUID
    path: str
    host: str


@dataclass(frozen=True)
class _Try:
    """A request that may be sent: on whose behalf, and why its host is not asked any more, or None."""

    team: TeamContext
    given_up: str | None


@dataclass(frozen=True)
class _Answer:
    """What the check of a model has brought; ``failure`` says why its source could not be asked.

    ``retry_after`` is the shortest pause in seconds after a failure that may pass, and None for others.
    """

    is_newer: bool = False
    failure: str | None = None
    retry_after: float | None = None


def start_source_checks(database: Database, team: TeamContext) -> SourceCheckRun:
    """Start a check of all models of the team that name a source; return the one that runs already, if there is one."""
    with database.writing(team.team_id) as session:
        row = session.get(SourceCheckRunRow, team.team_id, with_for_update=True)
        if row is not None and row.check_state == "running":
            return _build_run(row)
        if row is not None:
            session.delete(row)
            session.flush()
        count = select(func.count()).select_from(_select_models(team.team_id).subquery())
        row = SourceCheckRunRow(
            team_id=team.team_id,
            id=new_id(),
            model_count=session.scalar(count) or 0,
            creator_kind=team.creator.kind,
            creator_id=team.creator.id,
            creator_name=team.creator.name,
            credential_id=team.caller.credential_id,
        )
        session.add(row)
        session.flush()
        audit.record(session, team.actor, team.team_id, "source_check.started", row.id, model_count=row.model_count)
        announce(session, SOURCE_CHECK_STARTED)
        return _build_run(row)


def read_source_checks(session: Session, team: TeamContext) -> SourceChecks:
    """Return the last check of all models of the team."""
    row = session.get(SourceCheckRunRow, team.team_id)
    return SourceChecks(source_check_run=None if row is None else _build_run(row))


def _build_run(row: SourceCheckRunRow) -> SourceCheckRun:
    """Build the API's view of a check of all models."""
    return SourceCheckRun(
        id=row.id,
        check_state=row.check_state,
        model_count=row.model_count,
        checked_count=row.checked_count,
        newer_count=row.newer_count,
        failure_count=row.failure_count,
        failure_list=[FailedSourceCheck.model_validate(each) for each in row.failures],
        retry_at=row.due_at if row.check_state == "running" else None,
        error=row.error,
        created_at=row.created_at,
        finished_at=row.finished_at,
        created_by=Creator(kind=row.creator_kind, id=row.creator_id, display_name=row.creator_name),
    )


def _select_models(team_id: UUID) -> Select[UUID, str, str | None]:
    """Return the query for id, path and source of the models of a team that name a source."""
    named = (ModelRow.team_id == team_id) & ModelRow.source_url.is_not(None) & ModelRow.deleted_at.is_(None)
    return select(ModelRow.id, ModelRow.model_path, ModelRow.source_url).where(named)


class SourceChecker:
    """Runs the checks of all models that teams have started; the teams take turns."""

    def __init__(self, database: Database, sources: Sources, cipher: SecretCipher | None = None) -> None:
        self._database, self._sources, self._cipher = database, sources, cipher
        self.interruption = Interruption()

    def is_due(self) -> bool:
        """Return whether a check can be continued now."""
        with self._database.reading() as session:
            return _find_due(session) is not None

    def check_next(self) -> bool:
        """Check the next models of the team whose turn it is; return False if no check is due, or if interrupted.

        What was checked is recorded after each model: after a kill, at most one is checked again. An unexpected error
        counts as a try without an answer, and is raised again.
        """
        with self._database.reading() as session:
            row = _find_due(session)
            models = [] if row is None else _list_next_models(session, row)
        if row is None or self.interruption.is_set():
            return False
        for model in models:
            if not self._check(row, model) or self.interruption.is_set():
                return not self.interruption.is_set()
        if len(models) < BATCH:
            self._end(row, None)
        return True

    def _check(self, run: SourceCheckRunRow, model: _Model) -> bool:
        """Check one model; return whether the next model can be checked now."""
        begun = self._begin(run, model)
        if begun is None:
            return False
        if begun.given_up is not None:
            return self._record(run, model, _Answer(failure=begun.given_up))
        try:
            answer = self._ask(begun.team, model.id)
        except Exception as error:  # raised again: a bug must not be repeated at once
            detail = error.detail if isinstance(error, problems.Problem) else "An unexpected error."
            with suppress(problems.Unavailable, problems.StorageFull):
                self._record(run, model, _Answer(failure=detail, retry_after=0.0))
            raise
        return self._record(run, model, answer)

    def _begin(self, run: SourceCheckRunRow, model: _Model) -> _Try | None:
        """Count a try before its request, and return it; None if the check has ended, or the host has to be waited for.

        So if the answer cannot be recorded, it is another team's turn, and the pauses grow all the same.
        """
        with self._database.writing(run.team_id) as session:
            row, moment = _find_running(session, run), get_database_time(session)
            if row is None:
                return None
            if row.tries >= MAX_TRIES:
                _end_run(row, moment, "The answers of the sources could not be recorded.")
                return None
            try:
                team = load_team_context(session, row)
            except (
                problems.NotAMember,
                problems.RoleTooLow,
                problems.Unauthenticated,
                problems.KeyNotAllowed,
            ) as problem:
                _end_run(row, moment, describe_problem(row, problem))
                return None
            row.asked_at = moment
            until = _find_pause_end(row, model.host)
            if row.tries == 0 and until is not None and until > moment:
                row.due_at = until
                return None
            row.tries += 1
            row.due_at = None if row.tries == 1 else moment + _choose_pause(row.tries, 0)
            return _Try(team, _find_reason(row, model.host))

    def _ask(self, team: TeamContext, model_id: UUID) -> _Answer:
        """Ask the source of a model; one without versions, and a model that was deleted meanwhile, bring nothing."""
        try:
            found = check_source(self._database, self._cipher, self._sources, team, model_id)
        except (problems.LinkRefused, problems.ModelNotFound):
            return _Answer()
        except (problems.SourceNotFound, problems.SourceRestricted) as problem:
            return _Answer(failure=problem.detail)
        except problems.SourceUnavailable as problem:
            return _Answer(failure=problem.detail, retry_after=float(problem.facts.get("retry_after", 0)))
        return _Answer(is_newer=found.newer_at_source is not None)

    def _record(self, run: SourceCheckRunRow, model: _Model, answer: _Answer) -> bool:
        """Record the answer about a model; return whether the next model can be checked now."""
        with self._database.writing(run.team_id) as session:
            row, moment = _find_running(session, run), get_database_time(session)
            if row is None:
                return False
            if answer.retry_after is not None:
                _count_failure(row, model.host, answer, moment)
            elif _find_reason(row, model.host) is None:
                _reset_failures(row, model.host)
            row.due_at = _find_pause_end(row, model.host) if row.tries < MODEL_TRIES else None
            if row.due_at is not None:
                return False
            row.tries, row.last_model_id = 0, model.id
            _count_answer(row, model, answer)
            return True

    def _end(self, run: SourceCheckRunRow, error: str | None) -> None:
        """Record the end of a check, with the reason if it ends early."""
        with self._database.writing(run.team_id) as session:
            row = _find_running(session, run)
            if row is not None:
                _end_run(row, get_database_time(session), error)


def _find_due(session: Session) -> SourceCheckRunRow | None:
    """Return the running check of the team whose turn it is, or None."""
    is_due = or_(SourceCheckRunRow.due_at.is_(None), SourceCheckRunRow.due_at <= get_database_time(session))
    running = select(SourceCheckRunRow).where(SourceCheckRunRow.check_state == "running", is_due)
    return session.scalar(running.order_by(SourceCheckRunRow.asked_at, SourceCheckRunRow.id).limit(1))


def _find_running(session: Session, run: SourceCheckRunRow) -> SourceCheckRunRow | None:
    """Return the row of a check, locked; None if it has ended, or was started anew."""
    row = session.get(SourceCheckRunRow, run.team_id, with_for_update=True)
    return row if row is not None and (row.id, row.check_state) == (run.id, "running") else None


def _list_next_models(session: Session, run: SourceCheckRunRow) -> Sequence[_Model]:
    """Return the next models of a check, at most ``BATCH``."""
    query = _select_models(run.team_id).order_by(ModelRow.id).limit(BATCH)
    if run.last_model_id is not None:
        query = query.where(ModelRow.id > run.last_model_id)
    return [_Model(row.id, row.model_path, _read_host(row.source_url)) for row in session.execute(query)]


def _read_host(source_url: str | None) -> str:
    """Return host and port of an address; nothing for one that has another form."""
    try:
        return urlsplit(source_url or "").netloc.lower()
    except ValueError:
        return ""


def _count_failure(row: SourceCheckRunRow, host: str, answer: _Answer, moment: datetime) -> None:
    """Count a request that a host has not answered, with its reason and the pause after it."""
    failures = row.host_failures or {}
    tries = int(failures.get(host, {}).get("tries", 0)) + 1
    due_at = moment + _choose_pause(tries, answer.retry_after or 0.0)
    row.host_failures = failures | {host: {"tries": tries, "error": answer.failure, "due_at": due_at.isoformat()}}


def _reset_failures(row: SourceCheckRunRow, host: str) -> None:
    """Record that a host has answered."""
    row.host_failures = {each: failures for each, failures in (row.host_failures or {}).items() if each != host} or None


def _find_reason(row: SourceCheckRunRow, host: str) -> str | None:
    """Return why a host is not asked any more, which is its last failure, or None if it is."""
    failures = (row.host_failures or {}).get(host, {})
    return str(failures["error"]) if failures.get("tries", 0) >= MAX_TRIES else None


def _find_pause_end(row: SourceCheckRunRow, host: str) -> datetime | None:
    """Return when a host that has not answered is to be asked again, or None if it has, or is not asked any more."""
    failures = (row.host_failures or {}).get(host)
    if failures is None or _find_reason(row, host) is not None:
        return None
    return datetime.fromisoformat(failures["due_at"])


def _choose_pause(tries: int, retry_after: float) -> timedelta:
    """Return how long to wait after so many requests without an answer: at least as long as the source says."""
    pause = FIRST_PAUSE * 2.0 ** (tries - 1)
    return min(max(pause, timedelta(seconds=retry_after)), _LONGEST_PAUSE)


def _count_answer(row: SourceCheckRunRow, model: _Model, answer: _Answer) -> None:
    """Add the final answer about a model to the counts."""
    row.checked_count += 1
    row.newer_count += answer.is_newer
    if answer.failure is not None:
        row.failure_count += 1
        failed = FailedSourceCheck(model_id=model.id, model_path=model.path, error=answer.failure)
        if len(row.failures) < MAX_LISTED_FAILURES:
            row.failures = [*row.failures, failed.model_dump(mode="json")]


def _end_run(row: SourceCheckRunRow, moment: datetime, error: str | None) -> None:
    """End a check, with the reason if it ends early."""
    row.check_state, row.error = "done" if error is None else "failed", error
    row.finished_at, row.due_at = moment, None
