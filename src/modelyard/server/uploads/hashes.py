"""Finding blobs by their hashes, each by an index of one column of ``blobs``."""

from collections.abc import Iterable
from functools import cache
from typing import Any, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import Integer, Select, Uuid, bindparam, select, type_coerce
from sqlalchemy.orm import Session
from sqlalchemy.types import NullType

from modelyard.server.database.search import is_sqlite_session
from modelyard.server.database.session import get_table
from modelyard.server.database.text_list import build_text_list, encode_text_list, join_rows
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire.hashes.texts import HashCandidate, HashName

HashColumn = Literal["sha256", "blake3", "autov1", "autov3", "crc32"]
# The most reliable kind first: a client can choose bytes with a given CRC-32, and fine-tunes may share an AutoV1.
HASH_COLUMNS: tuple[HashColumn, ...] = ("sha256", "blake3", "autov3", "autov1", "crc32")
# Greater than every hexadecimal digit: what follows all hashes with the same first digits begins with them and this.
_AFTER_DIGITS = "g"
_blobs = get_table(BlobRow)


class BlobMatch(NamedTuple):
    """A blob with a hash that a candidate means. ``blob_key`` is the text of its id, as ``UUID`` parses it.

    To parse a thousand ids would cost as much as to find the blobs.
    """

    candidate: HashCandidate
    blob_key: str


def find_blobs_by_hash(
    session: Session, team_id: UUID, candidates: Iterable[HashCandidate], limit: int, *, verified_only: bool
) -> list[BlobMatch]:
    """Return the team's blobs that have one of the hashes, the most reliable kind of hash first.

    Costs one statement for each kind of hash, which returns at most ``limit`` blobs. Without ``verified_only``, a blob
    is also found by the SHA-256 that its client declared.
    """
    by_column: dict[HashColumn, dict[str, list[HashCandidate]]] = {column: {} for column in HASH_COLUMNS}
    for candidate in dict.fromkeys(candidates):
        by_column[get_hash_column(candidate.name)].setdefault(candidate.digits, []).append(candidate)
    matches = []
    for column, digits in by_column.items():
        if digits:
            statement = build_blobs_query(column, verified_only=verified_only, is_sqlite=is_sqlite_session(session))
            values = {"team": team_id, "hashes": encode_text_list(digits), "limit": limit}
            rows = session.execute(statement, values)
            matches += [BlobMatch(candidate, str(row.blob_id)) for row in rows for candidate in digits[row.digits]]
    return matches


def get_hash_column(name: HashName) -> HashColumn:
    """Return the column with a kind of hash; an AutoV2 is the beginning of the SHA-256."""
    return "sha256" if name == "autov2" else name


@cache
def build_blobs_query(column: HashColumn, *, verified_only: bool, is_sqlite: bool) -> Select[Any]:
    """Build the query for the blobs of a team whose hash begins with one of the texts: ranges of the column's index.

    Its rows have the text as ``digits``, and ``blob_id``. Its parameters are ``team``, ``hashes`` as
    ``encode_text_list`` returns them, and ``limit``, the number of blobs that it returns at most.
    """
    texts, limit = build_text_list("hashes"), bindparam("limit", type_=Integer())
    digest, first_digits = _blobs.c[column], texts.c.value
    in_range = (digest >= first_digits) & (digest < first_digits.concat(_AFTER_DIGITS))
    condition = (_blobs.c.team_id == bindparam("team", type_=Uuid())) & in_range
    if verified_only:
        condition &= _blobs.c.verified_at.is_not(None)
    source, blobs = join_rows(texts, _blobs, condition, limit, is_sqlite=is_sqlite, order=digest)
    # The id stays as the driver returns it: to parse a thousand of them would cost as much as to find the blobs.
    columns = first_digits.label("digits"), type_coerce(blobs.c.id, NullType()).label("blob_id")
    return select(*columns).select_from(source).limit(limit)
