"""The schema migrations; run by ``modelyard migrate`` and at start."""

import logging
import time
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from modelyard.server.database.engine import DatabaseUnfit, is_sqlite, open_migration
from modelyard.server.database.failures import translate_failures

HERE = Path(__file__).parent
log = logging.getLogger("modelyard.database")


class SchemaTooNew(Exception):
    """The database was written by a newer version of modelyard."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    return config


def migrate(engine: Engine) -> None:
    """Upgrade the schema to the current version. Idempotent, and safe when several servers start at once.

    Logs what it does, from which version to which, and when it is done.

    Raises:
        SchemaTooNew: the schema is newer than this program.
        DatabaseUnfit: the database's encoding cannot store every name.
        Unavailable: the database does not answer, or another server's migration takes too long.
    """
    with translate_failures():
        if schema_state(engine) == "current":
            return
        _check_encoding(engine)
        config = _config()
        with open_migration(engine) as connection:
            if _read_state(connection) == "too new":
                raise SchemaTooNew(
                    "This database was written by a newer modelyard. Start that version, or restore a backup."
                )
            config.attributes["connection"] = connection
            _upgrade(config, _read_version(connection))


def _upgrade(config: Config, before: str | None) -> None:
    """Upgrade from this version to the newest, between two lines in the log; another server may have done it."""
    newest, _ = _list_revisions()
    if before == newest:
        return
    if before is None:
        log.info("Creating the database's schema %s.", newest)
    else:
        log.info(
            "Migrating the database's schema from %s to %s. With many models this may take minutes; the server listens "
            "when it is done. If it is interrupted, the database stays as it was.",
            before,
            newest,
        )
    started = time.monotonic()
    command.upgrade(config, "head")
    log.info("The database's schema is now %s, after %.1f seconds.", newest, time.monotonic() - started)


def _check_encoding(engine: Engine) -> None:
    if is_sqlite(engine):
        return
    with engine.connect() as connection:
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise DatabaseUnfit(
            f"The database has the encoding {encoding}, which cannot store every name. "
            "Create it again: createdb --encoding UTF8 --template template0."
        )


def schema_state(engine: Engine) -> str:
    """Return ``current``, ``behind`` or ``too new``."""
    with engine.connect() as connection:
        return _read_state(connection)


def read_schema_version(engine: Engine) -> str | None:
    """Return the version of the schema, or None for a database without one.

    Raises:
        Unavailable: the database does not answer.
    """
    with translate_failures(), engine.connect() as connection:
        return _read_version(connection)


def _read_version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _read_state(connection: Connection) -> str:
    newest, known = _list_revisions()
    found = _read_version(connection)
    if found == newest:
        return "current"
    return "behind" if found is None or found in known else "too new"


@cache
def _list_revisions() -> tuple[str | None, frozenset[str]]:
    """Return the newest revision and all revisions; the modules are imported once in a process, not by each probe."""
    scripts = ScriptDirectory.from_config(_config())
    return scripts.get_current_head(), frozenset(script.revision for script in scripts.walk_revisions())
