"""A program of the tests: processes that migrate one database, all at once or killed one after the other.

    python -m tests.server.database.migrating <url> together <number of processes>
    python -m tests.server.database.migrating <url> killed <statements from one kill to the next>

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
    url, how, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if how == "together":
        together(url, number)
    else:
        killed(url, number)


def together(url: str, processes: int) -> None:
    """Begin in all of them when the last is there; end with an error if one of them does."""
    waiting, go = os.pipe()

    def wait_and_migrate() -> None:
        os.close(go)
        os.read(waiting, 1)
        migrate(Database(url).engine)

    children = [forked(wait_and_migrate) for _ in range(processes)]
    os.close(go)
    sys.exit(max(os.waitpid(child, 0)[1] for child in children) != 0)


def killed(url: str, step: int) -> None:
    for last in count(1, step):
        _, status = os.waitpid(forked(lambda last=last: migrate_until(url, last)), 0)  # type: ignore[misc]  # mypy: a default makes it another type
        os.waitpid(forked(lambda: describe(url)), 0)
        if not os.WIFSIGNALED(status):
            sys.exit(status != 0)


def migrate_until(url: str, last: int) -> None:
    """Migrate, but end as by ``kill -9`` before the statement after the ``last`` one."""
    database = Database(url)
    number = count(1)

    def die(*_: object) -> None:
        if next(number) > last:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(database.engine, "before_cursor_execute", die)
    event.listen(database.engine, "commit", die)
    migrate(database.engine)


def describe(url: str) -> None:
    engine = Database(url).engine
    tables = MetaData()
    tables.reflect(engine)
    shape = [
        (table.name, [str(column) for column in table.columns], sorted(str(index.name) for index in table.indexes))
        for table in tables.sorted_tables
    ]
    sys.stdout.write(f"{schema_state(engine)} {hash(str(shape))}\n")
    sys.stdout.flush()


def forked(do: Callable[[], object]) -> int:
    """The id of a process that does this and ends. Nothing is open yet that two processes must not share."""
    child = os.fork()
    if child:
        return child
    try:
        do()
    except BaseException as error:  # noqa: BLE001 - whatever it is, this process must not go on as its parent
        sys.stderr.write(f"{error!r}\n")
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
