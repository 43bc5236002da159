"""Models have versions: each content becomes one, and chains of replaced models become one model.

Until here, a new content was a new model that replaced the old one, which went into the trash. Until the new one was
verified, machines got the old one from there (``stands_in_for``).

A replaced model becomes a version of the model that replaced it, whose id stays: people and links name that one. Its
machines keep their files, since path and content are the same. A model that was deleted or restored by a person after
it was replaced stays a model of its own.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

DESIRED = sa.text("deleted_at IS NULL AND model_status = 'active' AND verified_at IS NOT NULL")
SEVERAL_VERSIONS = sa.text("latest_version > 1")
TRASHED = sa.text("deleted_at IS NOT NULL")
CONTENT = (
    *("team_id", "storage_key", "blob_id", "file_size", "file_hash", "blake3_hash", "facts", "verification"),
    *("verification_error", "verified_at", "creator_kind", "creator_id", "creator_name", "created_at"),
)
MODELS = sa.table(
    "models",
    *(sa.column(name, sa.Uuid()) for name in ("id", "team_id", "blob_id", "stands_in_for")),
    *(sa.column(name, base.UtcTime(timezone=True)) for name in ("deleted_at", "verified_at", "created_at")),
    *(sa.column(name) for name in ("path_key", "storage_key", "file_size", "file_hash", "blake3_hash")),
    sa.column("facts", sa.JSON()),
    *(sa.column(name) for name in ("verification", "verification_error", "agents_ready")),
    *(sa.column(name) for name in ("current_version", "pending_version", "latest_version", "version_count")),
)
VERSIONS = sa.table(
    "model_versions", sa.column("model_id", sa.Uuid()), *(sa.column(name) for name in ("number", "promoted_at"))
)
EVENTS = sa.table(
    "audit_events",
    sa.column("id", sa.Uuid()),
    sa.column("object_id"),
    sa.column("action"),
    sa.column("facts", sa.JSON()),
)
UPLOADS = sa.table("uploads", sa.column("id", sa.Uuid()), sa.column("model_id", sa.Uuid()))
STATES = sa.table("agent_models", sa.column("model_id", sa.Uuid()))
TAGS = sa.table("model_tags", sa.column("model_id", sa.Uuid()))
RECOUNT = (
    "UPDATE agents SET models_ready = (SELECT count(*) FROM agent_models"
    " WHERE agent_number = agents.number AND state = 'ready')"
)
MAX_PARAMETERS = 500


def upgrade() -> None:
    _add_columns()
    _create_version_table()
    columns = ", ".join(CONTENT)
    op.execute(
        f"INSERT INTO model_versions (model_id, number, promoted_at, kept_from, {columns})"  # noqa: S608 - our own names
        f" SELECT id, 1, verified_at, CURRENT_TIMESTAMP, {columns} FROM models"
    )
    op.execute(
        "UPDATE models SET current_version = CASE WHEN verified_at IS NULL THEN NULL ELSE 1 END,"
        " pending_version = CASE WHEN verified_at IS NULL THEN 1 ELSE NULL END"
    )
    _merge_chains(op.get_bind())
    _drop_stand_ins()


def _add_columns() -> None:
    # Not as a batch, which would make the tables anew, and lose the triggers of the search.
    op.add_column("models", sa.Column("current_version", sa.BigInteger(), nullable=True))
    op.add_column("models", sa.Column("pending_version", sa.BigInteger(), nullable=True))
    op.add_column("models", sa.Column("latest_version", sa.BigInteger(), server_default="1", nullable=False))
    op.add_column("models", sa.Column("version_count", sa.BigInteger(), server_default="1", nullable=False))
    op.add_column("teams", sa.Column("kept_versions", sa.BigInteger(), server_default="5", nullable=False))
    op.add_column("teams", sa.Column("kept_version_days", sa.BigInteger(), server_default="30", nullable=False))


def _create_version_table() -> None:
    time = base.UtcTime(timezone=True)
    op.create_table(
        "model_versions",
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("storage_key", sa.String(), nullable=False),
        sa.Column("blob_id", sa.Uuid(), nullable=False),
        sa.Column("file_size", sa.BigInteger(), nullable=False),
        sa.Column("file_hash", sa.String(), nullable=False),
        sa.Column("blake3_hash", sa.String(), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("verification", sa.String(), nullable=False),
        sa.Column("verification_error", sa.String(), nullable=True),
        sa.Column("verified_at", time, nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("creator_kind", sa.String(), nullable=False),
        sa.Column("creator_id", sa.Uuid(), nullable=True),
        sa.Column("creator_name", sa.String(), nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.Column("promoted_at", time, nullable=True),
        sa.Column("kept_from", time, nullable=False),
        sa.Column("deleted_at", time, nullable=True),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name=op.f("fk_model_versions_model_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_model_versions_team_id")),
        sa.ForeignKeyConstraint(["blob_id"], ["blobs.id"], name=op.f("fk_model_versions_blob_id")),
        sa.PrimaryKeyConstraint("model_id", "number", name=op.f("pk_model_versions")),
    )
    op.create_index("ix_model_versions_blob_id", "model_versions", ["blob_id"])
    op.create_index("ix_model_versions_team_id_file_hash", "model_versions", ["team_id", "file_hash"])
    op.create_index(
        "ix_model_versions_deleted_at",
        "model_versions",
        ["deleted_at"],
        sqlite_where=TRASHED,
        postgresql_where=TRASHED,
    )


def _drop_stand_ins() -> None:
    op.drop_index("ix_models_desired", "models")
    op.drop_index("uq_models_team_id_path_key_standing_in", "models")
    op.drop_index("ix_models_stands_in_for", "models")
    op.drop_column("models", "stands_in_for")
    op.create_index(
        "ix_models_desired",
        "models",
        ["team_id", "label_set", "verification", "agents_ready"],
        sqlite_where=DESIRED,
        postgresql_where=DESIRED,
    )
    op.create_index(
        "ix_models_several_versions",
        "models",
        ["id"],
        sqlite_where=SEVERAL_VERSIONS,
        postgresql_where=SEVERAL_VERSIONS,
    )


def _merge_chains(database: sa.Connection) -> None:
    """Make each replaced model a version of the model at the end of its chain."""
    chains = _find_chains(database)
    for last, replaced in chains.items():
        rows = {row.id: row for row in database.execute(sa.select(MODELS).where(MODELS.c.id.in_([last, *replaced])))}
        _merge_chain(database, [rows[model_id] for model_id in [*replaced, last]])
    if chains:
        database.execute(sa.text(RECOUNT))
    _move_uploads(database, {model_id: last for last, replaced in chains.items() for model_id in replaced})


def _find_chains(database: sa.Connection) -> dict[UUID, list[UUID]]:
    """Return the models that were replaced by each model, directly or not, oldest first; only those still in the trash.

    A stand-in names its successor itself. Others are found in the audit log, if what was done to them last is that they
    were replaced, at the same path and in the same team.
    """
    trashed = {row.id: row for row in database.execute(sa.select(MODELS).where(MODELS.c.deleted_at.is_not(None)))}
    successors = dict(_list_replacements(database, trashed.keys()))
    successors |= {row.id: row.stands_in_for for row in trashed.values() if row.stands_in_for is not None}
    places = {
        row.id: (row.team_id, row.path_key)
        for ids in _split(sorted(set(successors.values())))
        for row in database.execute(sa.select(MODELS).where(MODELS.c.id.in_(ids)))
    }
    valid = {
        replaced: successor
        for replaced, successor in successors.items()
        if places.get(successor) == (trashed[replaced].team_id, trashed[replaced].path_key)
    }
    chains = defaultdict[UUID, list[UUID]](list)
    for replaced in sorted(valid, key=lambda model_id: (trashed[model_id].created_at, model_id)):
        last = replaced
        while last in valid:
            last = valid[last]
        chains[last].append(replaced)
    return chains


def _split(ids: list[UUID]) -> Iterator[list[UUID]]:
    """Yield the ids in lists that are short enough for the parameters of one statement."""
    for start in range(0, len(ids), MAX_PARAMETERS):
        yield ids[start : start + MAX_PARAMETERS]


def _list_replacements(database: sa.Connection, trashed: Any) -> list[tuple[UUID, UUID]]:
    """Return the models of ``trashed`` whose last event is that they were replaced, each with its successor."""
    last_actions = {
        row.object_id: row.action
        for row in database.execute(
            sa.select(EVENTS.c.object_id, EVENTS.c.action)
            .where(EVENTS.c.action.in_(("model.replaced", "model.deleted", "model.restored")))
            .order_by(EVENTS.c.id)
        )
    }
    registered = database.execute(
        sa.select(EVENTS.c.object_id, EVENTS.c.facts).where(EVENTS.c.action == "model.registered").order_by(EVENTS.c.id)
    )
    return [
        (UUID(row.facts["replaces"]), UUID(row.object_id))
        for row in registered
        if row.facts.get("replaces")
        and UUID(row.facts["replaces"]) in trashed
        and last_actions.get(str(UUID(row.facts["replaces"]))) == "model.replaced"
    ]


def _merge_chain(database: sa.Connection, models: list[Any]) -> None:
    """Make the versions of all these models, oldest first, versions of the last one, and delete the others.

    Machines had the newest content that was verified once: it becomes the current version. What they have reported
    about the models is deleted; they report again once they have a manifest with versions.
    """
    last = models[-1]
    numbers = {model.id: number for number, model in enumerate(models, start=1)}
    for model in reversed(models):
        of_model = VERSIONS.update().where(VERSIONS.c.model_id == model.id)
        database.execute(of_model.values(model_id=last.id, number=numbers[model.id]))
    current = next((model for model in reversed(models) if model.verified_at is not None), None)
    shown = current or last
    values = {
        "current_version": None if current is None else numbers[current.id],
        "pending_version": numbers[last.id] if last.verified_at is None else None,
        "latest_version": len(models),
        "version_count": len(models),
        **{name: getattr(shown, name) for name in ("storage_key", "blob_id", "file_size", "file_hash", "blake3_hash")},
        **{name: getattr(shown, name) for name in ("facts", "verification", "verification_error", "verified_at")},
        "agents_ready": 0,
    }
    others = [model.id for model in models[:-1]]
    database.execute(STATES.delete().where(STATES.c.model_id.in_([last.id, *others])))
    # Written out: on SQLite, migrations run without foreign keys, and so without their cascades.
    database.execute(TAGS.delete().where(TAGS.c.model_id.in_(others)))
    database.execute(MODELS.update().where(MODELS.c.id == last.id).values(values))
    database.execute(MODELS.delete().where(MODELS.c.id.in_(others)))


def _move_uploads(database: sa.Connection, successors: dict[UUID, UUID]) -> None:
    """Point the uploads of replaced models to the models that have their versions now.

    Reads all uploads once: there is no index on their models, so each update by the model would read all of them.
    """
    uploads = database.execute(sa.select(UPLOADS).where(UPLOADS.c.model_id.is_not(None)))
    moved = [{"upload": row.id, "successor": successors[row.model_id]} for row in uploads if row.model_id in successors]
    if moved:
        of_upload = UPLOADS.update().where(UPLOADS.c.id == sa.bindparam("upload"))
        database.execute(of_upload.values(model_id=sa.bindparam("successor")), moved)
