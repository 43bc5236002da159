"""A program of the tests: processes that migrate one database, all at once or killed one after the other.

    python -m tests.server.database.migrate_program <url> together <number of processes>
    python -m tests.server.database.migrate_program <url> killed <statements from one kill to the next>

The second kills a process after its first statement, another after the next few, and so on until one is not killed;
after each it prints what the schema is then: a number that changes when anything in it does.
"""

import os
import signal
import sys
from collections.abc import Callable
from itertools import count

from sqlalchemy import MetaData, event

import modelyard.server.app  # noqa: F401 - imports every slice, so that every table is known
from modelyard.server.database.migrations import migrate, schema_state
from modelyard.server.database.session import Database


def main() -> None:
    url, mode, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if mode == "together":
        migrate_in_parallel(url, number)
    else:
        migrate_with_kills(url, number)


def migrate_in_parallel(url: str, processes: int) -> None:
    """Migrate in several processes that start at the same time; exit with 1 if one fails."""
    start_signal, start = os.pipe()

    def wait_and_migrate() -> None:
        os.close(start)
        os.read(start_signal, 1)
        migrate(Database(url).engine)

    children = [fork(wait_and_migrate) for _ in range(processes)]
    os.close(start)
    sys.exit(max(os.waitpid(child, 0)[1] for child in children) != 0)


def migrate_with_kills(url: str, step: int) -> None:
    """Migrate in processes that are killed later each time, until one is not; print the schema after each."""
    for last_statement in count(1, step):
        _, status = os.waitpid(fork(lambda last_statement=last_statement: migrate_until(url, last_statement)), 0)  # type: ignore[misc]  # mypy: a default makes it another type
        os.waitpid(fork(lambda: describe(url)), 0)
        if not os.WIFSIGNALED(status):
            sys.exit(status != 0)


def migrate_until(url: str, last_statement: int) -> None:
    """Migrate, but kill the process before the statement after ``last_statement``."""
    database = Database(url)
    number = count(1)

    def kill_when_due(*_: object) -> None:
        if next(number) > last_statement:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(database.engine, "before_cursor_execute", kill_when_due)
    event.listen(database.engine, "commit", kill_when_due)
    migrate(database.engine)


def describe(url: str) -> None:
    """Print the state of the schema and a hash of it."""
    engine = Database(url).engine
    tables = MetaData()
    tables.reflect(engine)
    schema = [
        (table.name, [str(column) for column in table.columns], sorted(str(index.name) for index in table.indexes))
        for table in tables.sorted_tables
    ]
    sys.stdout.write(f"{schema_state(engine)} {hash(str(schema))}\n")
    sys.stdout.flush()


def fork(function: Callable[[], object]) -> int:
    """Run the function in a child process; return its id. Nothing is open yet that two processes must not share."""
    child = os.fork()
    if child:
        return child
    try:
        function()
    except BaseException as error:  # noqa: BLE001 - the child must not continue as the parent does
        sys.stderr.write(f"{error!r}\n")
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
