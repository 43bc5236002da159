"""Searched texts with the first words of base models, which ``base:`` without quotes is compared with.

The line is added to texts that were built without it. As in 0021, SQLite's trigger is left out meanwhile, and the word
index is then filled at once.
"""

import unicodedata
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

BATCH = 5_000
MODELS = sa.table(
    "models", sa.column("id", sa.Uuid()), sa.column("base_model", sa.String()), sa.column("searched", sa.String())
)
FIRST_WORDS, WORD_END, END = "\x14", "\x1d", "\x1e"
MAX_VALUE_LENGTH = 255
CONTROL = dict.fromkeys((*range(32), 127), " ")
UNSPACED = (
    *((0x0E00, 0x109F), (0x1780, 0x17FF), (0x2E80, 0x31FF)),
    *((0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF)),
)
# Models in the trash are in no index.
COPY_TEXTS = """
    UPDATE search_places SET searched = (SELECT searched FROM models WHERE models.id = search_places.model_id)
    WHERE searched IS NOT NULL
"""
FILL_INDEX = (
    "INSERT INTO search_words (rowid, searched) "
    "SELECT place, searched FROM search_places WHERE searched IS NOT NULL ORDER BY place"
)


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        _add_first_words(connection)
        return
    trigger = connection.scalar(sa.text("SELECT sql FROM sqlite_master WHERE name = 'search_changed'"))
    op.execute(sa.text("DROP TRIGGER search_changed"))
    if _add_first_words(connection):
        op.execute(sa.text(COPY_TEXTS))
        op.execute(sa.text("INSERT INTO search_words (search_words) VALUES ('delete-all')"))
        op.execute(sa.text(FILL_INDEX))
    op.execute(sa.text(trigger))


def _add_first_words(connection: sa.Connection) -> bool:
    """Add the line to the texts without it, and return whether there were any."""
    update = MODELS.update().where(MODELS.c.id == sa.bindparam("of_id")).values(searched=sa.bindparam("text"))
    has_changes = False
    for rows in _read_batches(connection):
        texts = {row.id: _build_text(row.searched, row.base_model) for row in rows}
        changed = [{"of_id": row.id, "text": texts[row.id]} for row in rows if texts[row.id] != row.searched]
        if changed:
            connection.execute(update, changed)
            has_changes = True
    return has_changes


def _read_batches(connection: sa.Connection) -> Iterator[list[sa.Row[tuple[object, ...]]]]:
    """Yield the models with a base model in batches, in the order of their ids."""
    batch = sa.select(MODELS).where(MODELS.c.base_model.is_not(None)).order_by(MODELS.c.id).limit(BATCH)
    rows = connection.execute(batch).all()
    while rows:
        yield [*rows]
        rows = connection.execute(batch.where(MODELS.c.id > rows[-1].id)).all()


def _build_text(searched: str, base_model: str) -> str:
    """Return the text with a line of the base model's first words after its last entry."""
    folded = " ".join(base_model.translate(CONTROL).casefold().split())[:MAX_VALUE_LENGTH]
    if FIRST_WORDS in searched or END not in searched or not folded:
        return searched
    entries, _, rest = searched.rpartition(END)
    return f"{entries}{END}\n{_build_first_words(folded)}{rest}"


def _build_first_words(text: str) -> str:
    following = [*text[1:], " "]
    marked = (
        one if _is_inner(one) and _is_inner(following_one) else one + WORD_END
        for one, following_one in zip(text, following, strict=True)
    )
    return FIRST_WORDS + "".join(marked)


def _is_inner(character: str) -> bool:
    is_letter = character.isalnum() or unicodedata.category(character)[0] == "M"
    return is_letter and not any(first <= ord(character) <= last for first, last in UNSPACED)
