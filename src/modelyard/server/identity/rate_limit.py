"""Rate limits on failed attempts to guess a password or code, which do not slow down other users.

The failures of the last minute are database rows: all servers share them, a restart keeps them, and attempts on other
accounts cannot evict them. Memory holds only the attempts that this process is checking at the moment.
"""

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import Database
from modelyard.server.identity.tables import FailedAttemptRow
from modelyard.wire.problems import Problem, TooManyAttempts

WINDOW = timedelta(minutes=1)
# Failures a minute: of one account from one address, of one address in all, and of one account from any address.
PAIR_LIMIT = 10
ADDRESS_LIMIT = 100
ACCOUNT_LIMIT = 50

CounterLimits = Sequence[tuple[str, int]]


class FailedAttemptLimiter:
    """Counts failed attempts. One that is being checked counts too, so parallel ones cannot bypass a limit."""

    def __init__(self) -> None:
        self._in_progress = Counter[str]()
        self._lock = threading.Lock()

    @contextmanager
    def limit(self, database: Database, account: str, address: str, failure: type[Problem]) -> Iterator[None]:
        """Run the block as one attempt, which has failed if it raises ``failure``.

        A failure is counted in the database. Success deletes the failures of this account from this address. Other
        exceptions are not counted.

        Raises:
            TooManyAttempts: a limit is reached; the block does not run and nothing is counted. ``retry_after`` is in
                seconds.
        """
        limits = _build_limits(account, address)
        with self._count_in_progress([name for name, _ in limits]) as others_in_progress:
            failures = _load_failures(database, [name for name, _ in limits])
            _check_limits(limits, failures, others_in_progress)
            try:
                yield
            except failure:
                _record_failure(database, [name for name, _ in limits])
                raise
        pair = limits[0][0]
        if pair in failures:
            with database.writing() as session:
                session.execute(delete(FailedAttemptRow).where(FailedAttemptRow.name == pair))

    @contextmanager
    def _count_in_progress(self, names: list[str]) -> Iterator[Counter[str]]:
        """Count an attempt as under way, and yield how many others are, by name."""
        with self._lock:
            others_in_progress = Counter({name: self._in_progress[name] for name in names})
            self._in_progress.update(names)
        try:
            yield others_in_progress
        finally:
            with self._lock:
                self._in_progress.subtract(names)
                self._in_progress = +self._in_progress


def _build_limits(account: str, address: str) -> CounterLimits:
    """Return the names and limits of the three counters of an attempt: for both together, the address, the account."""
    # Each has a kind in its name, since an attacker may send "" as the account.
    return [
        (_build_counter_name("both", account, address), PAIR_LIMIT),
        (_build_counter_name("address", address), ADDRESS_LIMIT),
        (_build_counter_name("account", account), ACCOUNT_LIMIT),
    ]


def _build_counter_name(*parts: str) -> str:
    """Return a digest as the counter's name: of fixed length, without revealing the account; surrogates are allowed."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _load_failures(database: Database, names: list[str]) -> dict[str, tuple[int, float]]:
    """Return for each counter with failures their number, and the seconds until they expire."""
    with database.reading() as session:
        moment = get_database_time(session)
        rows = session.scalars(select(FailedAttemptRow).where(FailedAttemptRow.name.in_(names)))
        return {row.name: (row.failures, _count_seconds_left(row, moment)) for row in rows if row.expires_at > moment}


def _count_seconds_left(row: FailedAttemptRow, moment: datetime) -> float:
    """Return the seconds until a counter expires."""
    return (row.expires_at - moment).total_seconds()


def _check_limits(
    limits: CounterLimits, failures: dict[str, tuple[int, float]], others_in_progress: Counter[str]
) -> None:
    """Check that no counter has reached its limit with its failures and the other attempts in progress.

    Raises:
        TooManyAttempts: one has; ``retry_after`` is when the last of them expires, at least 1 second.
    """
    waits = [
        failures.get(name, (0, 0.0))[1]
        for name, limit in limits
        if failures.get(name, (0, 0.0))[0] + others_in_progress[name] >= limit
    ]
    if waits:
        wait = max(1, round(max(waits) + 0.5))
        raise TooManyAttempts(f"Too many failed attempts. Try again in {wait} seconds.", retry_after=wait)


def _record_failure(database: Database, names: list[str]) -> None:
    """Delete expired counters, then add one failure to each of these.

    Transactions without a team exclude each other across all servers.
    """
    with database.writing() as session:
        moment = get_database_time(session)
        session.execute(
            delete(FailedAttemptRow)
            .where(FailedAttemptRow.expires_at <= moment)
            .execution_options(synchronize_session=False)
        )
        rows = session.scalars(select(FailedAttemptRow).where(FailedAttemptRow.name.in_(names)))
        known = {row.name: row for row in rows}
        for name in names:
            _add_failure(session, name, known.get(name), moment)


def _add_failure(session: Session, name: str, row: FailedAttemptRow | None, moment: datetime) -> None:
    """Add a failure to a counter, whose minute begins with its first failure."""
    if row is None:
        session.add(FailedAttemptRow(name=name, failures=1, expires_at=moment + WINDOW))
    else:
        row.failures += 1
