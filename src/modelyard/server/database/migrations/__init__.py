"""One migration tree; run by ``modelyard migrate`` and at start."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

HERE = Path(__file__).parent


class SchemaTooNew(Exception):
    """The database was written by a newer modelyard."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    return config


def migrate(engine: Engine) -> None:
    """Bring the schema up to date; may be repeated.

    Raises:
        SchemaTooNew: the database is ahead of this program.
    """
    config = _config()
    if schema_state(engine) == "too new":
        raise SchemaTooNew("This database was written by a newer modelyard. Start that version, or restore a backup.")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def schema_state(engine: Engine) -> str:
    """``current``, ``behind`` or ``too new``."""
    scripts = ScriptDirectory.from_config(_config())
    with engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    if found == scripts.get_current_head():
        return "current"
    known = {script.revision for script in scripts.walk_revisions()}
    return "behind" if found is None or found in known else "too new"
