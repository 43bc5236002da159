"""Searched texts with trigger words, base models, and entries for exact values: all texts are built again.

On SQLite the trigger that maintains the word index is left out meanwhile, and the index is then filled at once, which
takes a fraction of the time.

The texts are built as in the release of this migration, by a copy of its code.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from string import ascii_uppercase
from typing import Any

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

BATCH = 5_000
MODELS = sa.table(
    "models",
    *(sa.column(name, sa.Uuid()) for name in ("id", "creator_id")),
    *(sa.column(name, sa.JSON()) for name in ("tags", "facts", "trigger_words")),
    *(
        sa.column(name, sa.String())
        for name in ("display_name", "model_path", "base_model", "canonical_type", "creator_name", "license")
    ),
    sa.column("searched", sa.String()),
    sa.column("deleted_at", base.UtcTime(timezone=True)),
)
PLACES = sa.table("search_places", sa.column("model_id", sa.Uuid()), sa.column("searched", sa.String()))
END, START = "\x1e", "\x1f"
MAX_VALUES, MAX_VALUE_LENGTH, DIGEST_LETTERS = 100, 255, 10
CONTROL = dict.fromkeys((*range(32), 127), " ")
UNSPACED = (
    *((0x0E00, 0x109F), (0x1780, 0x17FF), (0x2E80, 0x31FF)),
    *((0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF)),
)
SQLITE_TRIGGER = """
    CREATE TRIGGER search_changed AFTER UPDATE OF searched, deleted_at ON models
    WHEN old.searched <> new.searched OR (old.deleted_at IS NULL) <> (new.deleted_at IS NULL) BEGIN
        INSERT INTO search_words (search_words, rowid, searched)
        SELECT 'delete', place, searched FROM search_places WHERE model_id = old.id AND searched IS NOT NULL;
        UPDATE search_places SET searched = iif(new.deleted_at IS NULL, new.searched, NULL) WHERE model_id = new.id;
        INSERT INTO search_words (rowid, searched)
        SELECT place, searched FROM search_places WHERE model_id = new.id AND searched IS NOT NULL;
    END
"""
POSTGRESQL_INDEX = (
    "CREATE INDEX ix_models_searched ON models USING gin (searched gin_trgm_ops) WHERE deleted_at IS NULL"
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(sa.text("DROP TRIGGER search_changed"))
        _rebuild_texts(has_places=True)
        op.execute(sa.text("INSERT INTO search_words (search_words) VALUES ('delete-all')"))
        op.execute(
            sa.text(
                "INSERT INTO search_words (rowid, searched) "
                "SELECT place, searched FROM search_places WHERE searched IS NOT NULL ORDER BY place"
            )
        )
        op.execute(sa.text(SQLITE_TRIGGER))
        return
    # Without the extension pg_trgm the index does not exist.
    has_index = op.get_bind().scalar(sa.text("SELECT to_regclass('ix_models_searched') IS NOT NULL"))
    op.execute("DROP INDEX IF EXISTS ix_models_searched")
    _rebuild_texts(has_places=False)
    if has_index:
        op.execute(POSTGRESQL_INDEX)


def _rebuild_texts(*, has_places: bool) -> None:
    """Write the searched text of every model, and with ``has_places`` its copy of models outside the trash."""
    connection = op.get_bind()
    update = MODELS.update().where(MODELS.c.id == sa.bindparam("of_id")).values(searched=sa.bindparam("text"))
    copied = PLACES.update().where(PLACES.c.model_id == sa.bindparam("of_id")).values(searched=sa.bindparam("text"))
    for rows in _read_batches(connection):
        values = [{"of_id": row["id"], "text": build_search_text(row)} for row in rows]
        connection.execute(update, values)
        living = [value for value, row in zip(values, rows, strict=True) if row["deleted_at"] is None]
        if has_places and living:
            connection.execute(copied, living)


def _read_batches(connection: sa.Connection) -> Iterator[list[dict[str, Any]]]:
    """Yield the models in batches, in the order of their ids."""
    columns = [column for column in MODELS.c if column.name != "searched"]
    batch = sa.select(*columns).order_by(MODELS.c.id).limit(BATCH)
    rows = connection.execute(batch).mappings().all()
    while rows:
        yield [dict(row) for row in rows]
        rows = connection.execute(batch.where(MODELS.c.id > rows[-1]["id"])).mappings().all()


def build_search_text(model: Mapping[str, Any]) -> str:
    """Return the text that searches look in."""
    words = [word["text"] for word in model["trigger_words"] or ()]
    architecture = (model["facts"] or {}).get("architecture")
    visible = (
        *(("\x10", value) for value in _clean(model["tags"])),
        *(("\x11", value) for value in _clean(words)),
        *(("\x12", value) for value in _clean([model["base_model"]])),
        *(("\x13", value) for value in _clean([architecture])),
    )
    hidden = (
        ("type", [model["canonical_type"]]),
        ("by", [model["creator_name"], model["creator_id"]]),
        ("license", [model["license"]]),
    )
    named = [_fold(model["display_name"]), _fold(model["model_path"])]
    texts = (*named, *(value for _, value in visible))
    starts = dict.fromkeys(start for text in texts for start in _iterate_starts(text))
    lines = [
        *named,
        *(mark + value + END for mark, value in visible),
        *(_build_digest(key, value) for key, values in hidden for value in _clean(values)),
        "".join(START + START + start for start in starts),
    ]
    return "\n".join(lines)


def _clean(values: Iterable[Any]) -> list[str]:
    folded = (_fold(str(value))[:MAX_VALUE_LENGTH] for value in values if value is not None)
    return list(dict.fromkeys(filter(None, folded)))[:MAX_VALUES]


def _fold(text: str) -> str:
    return " ".join(text.translate(CONTROL).casefold().split())


@lru_cache(10_000)
def _build_digest(key: str, folded: str) -> str:
    number = int.from_bytes(hashlib.sha256(f"{key}:{folded}".encode()).digest())
    letters = []
    for _ in range(DIGEST_LETTERS):
        number, letter = divmod(number, len(ascii_uppercase))
        letters.append(ascii_uppercase[letter])
    return "".join(letters)


def _iterate_starts(text: str) -> Iterator[str]:
    was_inner = False
    for position, character in enumerate(text):
        is_inner = _is_inner(character)
        if not character.isspace() and not (is_inner and was_inner):
            yield text[position : position + 2].rstrip()
        was_inner = is_inner


@lru_cache(10_000)
def _is_inner(character: str) -> bool:
    is_letter = character.isalnum() or unicodedata.category(character)[0] == "M"
    return is_letter and not any(first <= ord(character) <= last for first, last in UNSPACED)
