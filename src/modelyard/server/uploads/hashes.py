"""Finding blobs by their hashes, each by an index of one column of ``blobs``."""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from functools import cache, partial
from typing import Any, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import Integer, Row, Select, String, Uuid, bindparam, cast, select
from sqlalchemy.orm import Session

from modelyard.server.database.first_rows import FirstRows, LoadRows, RowLimits, load_first_rows
from modelyard.server.database.search import is_sqlite_session
from modelyard.server.database.session import get_table
from modelyard.server.database.text_list import build_text_list, encode_text_list, join_first_rows, join_rows
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire.hashes.texts import DIGITS_IN_FULL, HashName, split_hash

HashColumn = Literal["sha256", "blake3", "autov1", "autov3", "crc32"]
# The most reliable kind first: a client can choose bytes with a given CRC-32, and fine-tunes may share an AutoV1.
HASH_COLUMNS: tuple[HashColumn, ...] = ("sha256", "blake3", "autov3", "autov1", "crc32")
# An AutoV2 is the beginning of the SHA-256.
_COLUMNS: Mapping[HashName, HashColumn] = {**{column: column for column in HASH_COLUMNS}, "autov2": "sha256"}
# Greater than every hexadecimal digit: what follows all hashes with the same first digits begins with them and this.
_AFTER_DIGITS = "g"
_blobs = get_table(BlobRow)


class BlobMatch(NamedTuple):
    """A blob that a text means, and the most reliable kind of hash by which it does.

    ``blob_key`` is the text of its id: to parse a thousand ids would cost as much as to find the blobs.
    """

    name: HashName
    sha256: str
    blob_key: str


class FoundBlobs(NamedTuple):
    """The blobs that each text means; ``capped`` has the texts that mean more than the limits allow."""

    by_text: Mapping[str, Sequence[BlobMatch]]
    capped: Set[str]


# The SHA-256 and the key of a blob, by which blobs with the same digits are sorted.
_Blob = tuple[str, str]
_BlobsByColumn = Mapping[HashColumn, FirstRows[_Blob]]
# The kinds of hash that a text may be, and its digits.
_SplitHash = tuple[tuple[HashName, ...], str]


def find_blobs_by_hash(
    session: Session, team_id: UUID, texts: Iterable[str], limits: RowLimits, *, verified_only: bool
) -> FoundBlobs:
    """Return the first of the team's blobs that each text means, the most reliable kind of hash first, then by digest.

    Texts that are no hash are left out; of the others there are at most ``limits.in_all``. Costs at most three
    statements for each kind of hash. Without ``verified_only``, a blob is also found by the SHA-256 that its client
    declared.
    """
    hashes = {text: split for text in texts if (split := split_hash(text))[0]}
    blobs = _load_by_column(session, team_id, hashes.values(), limits, verified_only=verified_only)
    by_text = {text: _list_matches(blobs, names, digits) for text, (names, digits) in hashes.items()}
    limit = limits.find_common_limit(map(len, by_text.values()))
    capped = {text for text, matches in by_text.items() if len(matches) > limit}
    by_text |= {text: by_text[text][:limit] for text in capped}
    if any(of_kind.capped for of_kind in blobs.values()):
        for text, (names, digits) in hashes.items():
            if any(digits in blobs[_COLUMNS[name]].capped for name in names):
                capped.add(text)
    return FoundBlobs(by_text, capped)


def has_hash(blob: Row[*tuple[Any, ...]], text: str) -> bool:
    """Return whether a text means a blob, of which the row has the ``HASH_COLUMNS``."""
    names, digits = split_hash(text)
    return any((getattr(blob, _COLUMNS[name]) or "").startswith(digits) for name in names)


def _load_by_column(
    session: Session, team_id: UUID, hashes: Iterable[_SplitHash], limits: RowLimits, *, verified_only: bool
) -> _BlobsByColumn:
    """Return the first blobs with each of these digits in each column that they may be in."""
    digits_by_column: dict[HashColumn, dict[str, None]] = {column: {} for column in HASH_COLUMNS}
    for names, digits in hashes:
        for name in names:
            digits_by_column[_COLUMNS[name]][digits] = None
    blobs: dict[HashColumn, FirstRows[_Blob]] = {}
    for column, wanted in digits_by_column.items():
        # The SHA-256 of one content is not the BLAKE3 of another, except by a collision between both. Anybody may
        # declare such a SHA-256.
        known = blobs["sha256"].by_key if column == "blake3" and verified_only else {}
        unknown = [digits for digits in wanted if len(digits) < DIGITS_IN_FULL or digits not in known]
        load = _build_loader(session, team_id, column, verified_only=verified_only)
        blobs[column] = load_first_rows(unknown, load, limits)
    return blobs


def _list_matches(blobs: _BlobsByColumn, names: Iterable[HashName], digits: str) -> list[BlobMatch]:
    """Return the blobs that were found by a hash of one of these kinds, each once, by the first of its kinds."""
    first: dict[str, BlobMatch] = {}
    for name in names:
        for sha256, blob_key in blobs[_COLUMNS[name]].by_key.get(digits, ()):
            first.setdefault(blob_key, BlobMatch(name, sha256, blob_key))
    return [*first.values()]


def _build_loader(session: Session, team_id: UUID, column: HashColumn, *, verified_only: bool) -> LoadRows[_Blob]:
    """Return a function that loads the blobs with each hash of a kind, or beginning of one, sorted by SHA-256."""
    build = partial(_build_blobs_query, column, verified_only=verified_only, is_sqlite=is_sqlite_session(session))

    def load(keys: Collection[str], limit: int, *, of_each: bool) -> Mapping[str, Sequence[_Blob]]:
        """Load the blobs with these digits."""
        values = {"team": team_id, "hashes": encode_text_list(keys), "limit": limit}
        blobs: dict[str, list[_Blob]] = {}
        for each, sha256, key in session.connection().execute(build(of_each=of_each), values).all():
            blobs.setdefault(each, []).append((sha256, key))
        return {each: sorted(group) if len(group) > 1 else group for each, group in blobs.items()}

    return load


@cache
def _build_blobs_query(column: HashColumn, *, verified_only: bool, is_sqlite: bool, of_each: bool) -> Select[Any]:
    """Build the query for the blobs of a team whose hash begins with one of the texts: ranges of the column's index.

    Its parameters are ``team``, ``hashes`` as ``encode_text_list`` returns them, and ``limit``, the number of blobs of
    each text or of all.
    """
    texts, limit = build_text_list("hashes"), bindparam("limit", type_=Integer())
    digest, first_digits = _blobs.c[column], texts.c.value
    in_range = (digest >= first_digits) & (digest < first_digits.concat(_AFTER_DIGITS))
    condition = (_blobs.c.team_id == bindparam("team", type_=Uuid())) & in_range
    if verified_only:
        condition &= _blobs.c.verified_at.is_not(None)
    join = join_first_rows if of_each else join_rows
    source, blobs = join(texts, _blobs, condition, limit, [digest], is_sqlite=is_sqlite)
    statement = select(first_digits, blobs.c.sha256, cast(blobs.c.id, String())).select_from(source)
    return statement if of_each else statement.limit(limit)
