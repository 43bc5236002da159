"""Lists of a million: an index for each filter and sort, and trigrams for the search.

On SQLite triggers keep the trigrams, in tables that only they write:

    search_teams    a small number for each team, and whether its places are in the order of ``created_at``
    search_places   a place for each model, in the trash too: the team's number, then a count (40 bits); and its text
    search_words    FTS5 over the text of each living model; its rowid is the place

So a search reads one team's part of the index in the order of the newest, and stops when its page is full. Words that are
too short for trigrams are looked for in the places, whose rows are small. Whoever makes the table ``models`` anew has to
make these triggers anew.
"""

import logging

import sqlalchemy as sa
from alembic import op
from sqlalchemy.exc import DBAPIError

from modelyard.server.database import base

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

LIVING = sa.text("deleted_at IS NULL")
TRASHED = sa.text("deleted_at IS NOT NULL")
log = logging.getLogger("modelyard.migrations")

SQLITE = (
    """
    CREATE TABLE search_teams (
        number INTEGER PRIMARY KEY,
        team_id CHAR(32) NOT NULL UNIQUE,
        last_place INTEGER NOT NULL,
        last_created_at TEXT NOT NULL,
        last_id CHAR(32) NOT NULL,
        is_in_order INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE search_places (
        place INTEGER PRIMARY KEY,
        model_id CHAR(32) NOT NULL UNIQUE,
        searched TEXT -- NULL in the trash
    )
    """,
    "CREATE VIRTUAL TABLE search_words USING fts5(searched, content='', tokenize='trigram case_sensitive 1')",
    """
    INSERT INTO search_teams (team_id, last_place, last_created_at, last_id, is_in_order)
    SELECT team_id, count(*), max(created_at), 'g', 1 FROM models GROUP BY team_id
    """,
    """
    INSERT INTO search_places (place, model_id, searched)
    SELECT
        (number << 40) + row_number() OVER (PARTITION BY models.team_id ORDER BY created_at, id),
        id,
        iif(deleted_at IS NULL, searched, NULL)
    FROM models JOIN search_teams ON search_teams.team_id = models.team_id ORDER BY 1
    """,
    """
    INSERT INTO search_words (rowid, searched)
    SELECT place, searched FROM search_places WHERE searched IS NOT NULL ORDER BY place
    """,
    """
    CREATE TRIGGER search_new AFTER INSERT ON models BEGIN
        INSERT INTO search_teams (team_id, last_place, last_created_at, last_id, is_in_order)
        SELECT new.team_id, 0, '', '', 1 WHERE NOT EXISTS (SELECT 1 FROM search_teams WHERE team_id = new.team_id);
        UPDATE search_teams SET
            last_place = last_place + 1,
            last_created_at = new.created_at,
            last_id = new.id,
            is_in_order = is_in_order AND (last_created_at, last_id) < (new.created_at, new.id)
        WHERE team_id = new.team_id;
        INSERT INTO search_places (place, model_id, searched)
        SELECT (number << 40) + last_place, new.id, iif(new.deleted_at IS NULL, new.searched, NULL)
        FROM search_teams WHERE team_id = new.team_id;
        INSERT INTO search_words (rowid, searched)
        SELECT place, searched FROM search_places WHERE model_id = new.id AND searched IS NOT NULL;
    END
    """,
    """
    CREATE TRIGGER search_changed AFTER UPDATE OF searched, deleted_at ON models
    WHEN old.searched <> new.searched OR (old.deleted_at IS NULL) <> (new.deleted_at IS NULL) BEGIN
        INSERT INTO search_words (search_words, rowid, searched)
        SELECT 'delete', place, searched FROM search_places WHERE model_id = old.id AND searched IS NOT NULL;
        UPDATE search_places SET searched = iif(new.deleted_at IS NULL, new.searched, NULL) WHERE model_id = new.id;
        INSERT INTO search_words (rowid, searched)
        SELECT place, searched FROM search_places WHERE model_id = new.id AND searched IS NOT NULL;
    END
    """,
    """
    CREATE TRIGGER search_gone AFTER DELETE ON models BEGIN
        INSERT INTO search_words (search_words, rowid, searched)
        SELECT 'delete', place, searched FROM search_places WHERE model_id = old.id AND searched IS NOT NULL;
        DELETE FROM search_places WHERE model_id = old.id;
    END
    """,
)


def upgrade() -> None:
    _index_models()
    _describe_tags()
    if op.get_bind().dialect.name == "sqlite":
        for statement in SQLITE:
            op.execute(sa.text(statement))
    else:
        _prepare_postgresql()


def _index_models() -> None:
    with op.batch_alter_table("models", schema=None) as batch_op:
        for name in ("created_at", "display_name", "file_size", "type", "file_hash"):
            batch_op.drop_index(f"ix_models_team_id_{name}")
        batch_op.drop_index("ix_models_deleted_at")
    for name, *columns in (
        ("created_at", "created_at", "id"),
        ("display_name", "display_name", "id"),
        ("file_size", "file_size", "id"),
        ("type", "canonical_type", "created_at", "id", "deleted_at"),
        ("status", "model_status", "created_at", "id", "deleted_at"),
        ("verification", "verification", "created_at", "id", "deleted_at"),
    ):
        op.create_index(
            f"ix_models_team_id_{name}", "models", ["team_id", *columns], sqlite_where=LIVING, postgresql_where=LIVING
        )
    op.create_index("ix_models_team_id_file_hash", "models", ["team_id", "file_hash", "created_at", "id"])
    op.create_index(
        "ix_models_team_id_trash",
        "models",
        ["team_id", "created_at", "id"],
        sqlite_where=TRASHED,
        postgresql_where=TRASHED,
    )
    op.create_index("ix_models_deleted_at", "models", ["deleted_at"], sqlite_where=TRASHED, postgresql_where=TRASHED)


def _describe_tags() -> None:
    """Add to each tag when its model was created and whether it is deleted, for an index in the order of the newest."""
    with op.batch_alter_table("model_tags", schema=None) as batch_op:
        batch_op.drop_index("ix_model_tags_team_id_tag")
        batch_op.add_column(sa.Column("created_at", base.UtcTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("is_deleted", sa.Boolean(), nullable=True))
    op.execute(
        "UPDATE model_tags SET created_at = models.created_at, is_deleted = models.deleted_at IS NOT NULL "
        "FROM models WHERE models.id = model_tags.model_id"
    )
    with op.batch_alter_table("model_tags", schema=None) as batch_op:
        batch_op.alter_column("created_at", existing_type=base.UtcTime(timezone=True), nullable=False)
        batch_op.alter_column("is_deleted", existing_type=sa.Boolean(), nullable=False)
        batch_op.create_index(
            "ix_model_tags_team_id_tag", ["team_id", "tag", "is_deleted", "created_at", "model_id"], unique=False
        )


def _prepare_postgresql() -> None:
    # The planner guesses how many models a word finds from a sample of their texts: a larger one guesses better.
    op.execute("ALTER TABLE models ALTER COLUMN searched SET STATISTICS 1000")
    try:
        with op.get_bind().begin_nested():
            op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            op.execute(
                "CREATE INDEX ix_models_searched ON models USING gin (searched gin_trgm_ops) WHERE deleted_at IS NULL"
            )
    except DBAPIError as refused:
        log.warning(
            "This database has no extension pg_trgm, and this user may not create it: a search reads all models of a "
            "team until it is there. As the database's administrator: CREATE EXTENSION pg_trgm; then as this user: "
            "CREATE INDEX CONCURRENTLY ix_models_searched ON models USING gin (searched gin_trgm_ops) "
            "WHERE deleted_at IS NULL;",
            extra={"why": str(refused.orig).strip()},
        )
