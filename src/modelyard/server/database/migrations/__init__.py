"""One migration tree; run by ``modelyard migrate`` and at start."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from modelyard.server.database.engine import DatabaseUnfit, is_sqlite, migrating_connection
from modelyard.server.database.failures import failures_as_problems

HERE = Path(__file__).parent


class SchemaTooNew(Exception):
    """The database was written by a newer modelyard."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    return config


def migrate(engine: Engine) -> None:
    """Bring the schema up to date; may be repeated, and begun by any number of servers at once.

    Raises:
        SchemaTooNew: the database is ahead of this program.
        DatabaseUnfit: its texts cannot be all that a name may be.
        Unavailable: it does not answer, or another server has been migrating it for long.
    """
    with failures_as_problems():
        if schema_state(engine) == "current":
            return
        _check_encoding(engine)
        config = _config()
        with migrating_connection(engine) as connection:
            if _state_of(connection) == "too new":
                raise SchemaTooNew(
                    "This database was written by a newer modelyard. Start that version, or restore a backup."
                )
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _check_encoding(engine: Engine) -> None:
    if is_sqlite(engine):
        return
    with engine.connect() as connection:
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise DatabaseUnfit(
            f"The database has the encoding {encoding}, which not every name fits into. "
            "Make it anew: createdb --encoding UTF8 --template template0."
        )


def schema_state(engine: Engine) -> str:
    """``current``, ``behind`` or ``too new``."""
    with engine.connect() as connection:
        return _state_of(connection)


def _state_of(connection: Connection) -> str:
    scripts = ScriptDirectory.from_config(_config())
    found = MigrationContext.configure(connection).get_current_revision()
    if found == scripts.get_current_head():
        return "current"
    known = {script.revision for script in scripts.walk_revisions()}
    return "behind" if found is None or found in known else "too new"
