"""License and author of models, each with its source; what the registry had as license is what people entered.

The searched text of a model gets the license that its file declares, if it has no other.
"""

import hashlib
from collections.abc import Iterator
from string import ascii_uppercase
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0069"
down_revision = "0068"
branch_labels = None
depends_on = None

BATCH = 1_000
COLUMNS = ("license_override", "license_source", "author", "author_override", "author_source")
MODELS = sa.table(
    "models",
    sa.column("id", sa.Uuid()),
    sa.column("facts", sa.JSON()),
    *(sa.column(name, sa.String()) for name in ("license", "searched", *COLUMNS)),
)
CONTROL = dict.fromkeys((*range(32), 127), " ")
MAX_VALUE_LENGTH, DIGEST_LETTERS = 255, 10


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("models", sa.Column(name, sa.String(), nullable=True))
    connection = op.get_bind()
    entered = sa.func.nullif(MODELS.c.license, "")
    source = sa.case((entered.is_not(None), "person"))
    has_license = MODELS.c.license.is_not(None)
    connection.execute(
        MODELS.update().where(has_license).values(license=entered, license_override=entered, license_source=source)
    )
    names = ("license", "license_source", "author", "author_source", "searched")
    values: dict[str, Any] = {name: sa.bindparam(f"new_{name}") for name in names}
    update = MODELS.update().where(MODELS.c.id == sa.bindparam("of_id")).values(values)
    for rows in _read_batches(connection):
        changed = [_build_change(row) for row in rows if _get_details(row)]
        if changed:
            connection.execute(update, changed)


def _read_batches(connection: sa.Connection) -> Iterator[list[sa.Row[Any]]]:
    """Yield all models in batches, in the order of their ids."""
    batch = sa.select(MODELS).order_by(MODELS.c.id).limit(BATCH)
    rows = connection.execute(batch).all()
    while rows:
        yield [*rows]
        rows = connection.execute(batch.where(MODELS.c.id > rows[-1].id)).all()


def _get_details(row: sa.Row[Any]) -> dict[str, str]:
    """Return the license and the author that a model's file declares."""
    details = (row.facts or {}).get("details") or {}
    return {name: details[name] for name in ("license", "author") if details.get(name)}


def _build_change(row: sa.Row[Any]) -> dict[str, Any]:
    """Return the new values of a model whose file declares one of both."""
    declared = _get_details(row)
    is_licensed = row.license is None and "license" in declared
    return {
        "of_id": row.id,
        "new_license": declared["license"] if is_licensed else row.license,
        "new_license_source": "file" if is_licensed else row.license_source,
        "new_author": declared.get("author"),
        "new_author_source": "file" if "author" in declared else None,
        "new_searched": _add_license(row.searched, declared["license"]) if is_licensed else row.searched,
    }


def _add_license(searched: str, license_name: str) -> str:
    """Return the text with the digest of a license before its last line."""
    folded = " ".join(license_name.translate(CONTROL).casefold().split())
    lines, newline, starts = searched.rpartition("\n")
    return f"{lines}\n{_build_digest(folded)}{newline}{starts}" if folded else searched


def _build_digest(folded: str) -> str:
    number = int.from_bytes(hashlib.sha256(f"license:{folded[:MAX_VALUE_LENGTH]}".encode()).digest())
    letters = []
    for _ in range(DIGEST_LETTERS):
        number, letter = divmod(number, len(ascii_uppercase))
        letters.append(ascii_uppercase[letter])
    return "".join(letters)
