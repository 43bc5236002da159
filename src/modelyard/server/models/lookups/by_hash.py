"""The versions of models whose content has one of many hashes, at most so many of each."""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from itertools import chain, islice
from typing import NamedTuple

from sqlalchemy.orm import Session

from modelyard.server.database.first_rows import RowLimits
from modelyard.server.models.lookups.queries import FoundRow, find_hidden, load_versions
from modelyard.server.teams.context import TeamContext
from modelyard.server.uploads.hashes import BlobMatch, find_blobs_by_hash
from modelyard.wire.hashes.lookups import MAX_HASH_MATCHES, MAX_MATCHES_OF_HASH

# Blobs, their versions, and matches are each limited by this: hashes may share blobs, and blobs may have many versions.
LIMITS = RowLimits(of_one=MAX_MATCHES_OF_HASH, in_all=MAX_HASH_MATCHES)


class HashMatch(NamedTuple):
    """A version that a text means by the hash of a blob."""

    blob: BlobMatch
    version: FoundRow


class FoundVersions(NamedTuple):
    """The versions that each text means; ``capped`` has the texts of which there may be more."""

    by_text: Mapping[str, Sequence[HashMatch]]
    blobs_by_text: Mapping[str, Sequence[BlobMatch]]
    capped: Set[str]


def find_versions_by_hash(
    session: Session, team: TeamContext, texts: Collection[str], *, for_machine: bool
) -> FoundVersions:
    """Return the verified versions outside the trash that each text means, each once, within ``LIMITS``.

    The most reliable kind of hash is first, and versions with the same content are sorted by path and number. With
    ``for_machine`` they are those that the caller's manifests list. Of the versions with one content those of the
    newest models count, also those that the caller may not see: a capped text may have none.

    Costs at most three statements for each kind of hash, three for the versions, and two with ``for_machine``.
    """
    blobs = find_blobs_by_hash(session, team.team_id, texts, LIMITS, verified_only=True)
    keys = (match.blob_key for matches in blobs.by_text.values() for match in matches)
    found = load_versions(session, keys, LIMITS, for_machine=for_machine)
    rows = chain.from_iterable(found.by_key.values())
    hidden = find_hidden(session, team, rows) if for_machine else frozenset[str]()
    versions = _list_visible(found.by_key, hidden)
    groups = {
        text: [(match, versions[match.blob_key]) for match in matches if match.blob_key in versions]
        for text, matches in blobs.by_text.items()
    }
    counts = {text: sum([len(rows) for _, rows in of_text]) for text, of_text in groups.items()}
    limit = LIMITS.find_common_limit(counts.values())
    capped = {text for text, count in counts.items() if count > limit}
    if found.capped:
        for text, matches in blobs.by_text.items():
            if not found.capped.isdisjoint(match.blob_key for match in matches):
                capped.add(text)
    by_text = {text: list(islice(_join(of_text), limit)) for text, of_text in groups.items()}
    return FoundVersions(by_text, blobs.by_text, blobs.capped | capped)


def _list_visible(groups: Mapping[str, Sequence[FoundRow]], hidden: Set[str]) -> Mapping[str, Sequence[FoundRow]]:
    """Return the visible versions of each blob, of models that are not hidden, sorted by path and number."""
    visible = {key: [row for row in rows if row.is_visible and row.id not in hidden] for key, rows in groups.items()}
    return {key: sorted(rows, key=_get_place) if len(rows) > 1 else rows for key, rows in visible.items() if rows}


def _get_place(row: FoundRow) -> tuple[str, int]:
    """Return the key by which versions with the same content are sorted."""
    return row.model_path, row.number


def _join(groups: Iterable[tuple[BlobMatch, Sequence[FoundRow]]]) -> Iterable[HashMatch]:
    """Return the versions of these blobs; a version has one blob."""
    return (HashMatch(match, version) for match, versions in groups for version in versions)
