"""The versions of models whose content has one of many hashes, at most so many of each."""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from itertools import chain, islice
from typing import NamedTuple

from sqlalchemy.orm import Session

from modelyard.server.database.first_rows import RowLimits
from modelyard.server.models.lookups.queries import FoundRow, MachineLabels, find_hidden_models, load_versions
from modelyard.server.teams.context import TeamContext
from modelyard.server.uploads.hashes import BlobMatch, find_blobs_by_hash
from modelyard.wire.hashes.lookups import MAX_MATCHES_OF_ALL_HASHES, MAX_MATCHES_PER_HASH

# Blobs, their versions, and matches are each limited by this: hashes may share blobs, and blobs may have many versions.
HASH_LIMITS = RowLimits(of_one=MAX_MATCHES_PER_HASH, in_all=MAX_MATCHES_OF_ALL_HASHES)


class HashMatch(NamedTuple):
    """A version that a text means by the hash of a blob."""

    blob: BlobMatch
    version: FoundRow


class FoundVersions(NamedTuple):
    """The versions that each text means; ``capped`` has the texts of which there may be more."""

    by_text: Mapping[str, Sequence[HashMatch]]
    capped: Set[str]


def find_versions_by_hash(
    session: Session, team: TeamContext, texts: Collection[str], machines: MachineLabels = None
) -> FoundVersions:
    """Return the verified versions outside the trash that each text means, each once, within ``HASH_LIMITS``.

    The most reliable kind of hash is first, and versions with the same content are sorted by path and number. For a
    machine's key they are those that the caller's manifests list. Of the versions with one content those of the newest
    models count, also those that are hidden from a machine's key, and contents without any count too: a capped text may
    have no version.

    Costs at most three statements for each kind of hash, three for the versions, and one for a machine's key.
    """
    blobs = find_blobs_by_hash(session, team.team_id, texts, HASH_LIMITS, verified_only=True)
    keys = (match.blob_key for matches in blobs.by_text.values() for match in matches)
    found = load_versions(session, keys, HASH_LIMITS, for_machine=machines is not None)
    versions = found.by_key
    if machines is not None:
        hidden = find_hidden_models(session, team, chain.from_iterable(versions.values()), machines)
        versions = _list_visible(versions, hidden)
    versions = {key: sorted(rows, key=_get_path) if len(rows) > 1 else rows for key, rows in versions.items()}
    groups = {
        text: [(match, versions[match.blob_key]) for match in matches if match.blob_key in versions]
        for text, matches in blobs.by_text.items()
    }
    counts = {text: sum([len(rows) for _, rows in of_text]) for text, of_text in groups.items()}
    limit = HASH_LIMITS.find_common_limit(counts.values())
    capped = {text for text, count in counts.items() if count > limit}
    if found.capped:
        for text, matches in blobs.by_text.items():
            if not found.capped.isdisjoint(match.blob_key for match in matches):
                capped.add(text)
    by_text = {text: list(islice(_join(of_text), limit)) for text, of_text in groups.items()}
    return FoundVersions(by_text, blobs.capped | capped)


def _list_visible(groups: Mapping[str, Sequence[FoundRow]], hidden: Set[str]) -> Mapping[str, Sequence[FoundRow]]:
    """Return the versions of each blob that a machine's key may see, of models that are not hidden."""
    return {key: [row for row in rows if row.is_visible and row.id not in hidden] for key, rows in groups.items()}


def _get_path(row: FoundRow) -> tuple[str, int]:
    """Return the key by which versions with the same content are sorted: the path, and the number."""
    return row.model_path, row.number


def _join(groups: Iterable[tuple[BlobMatch, Sequence[FoundRow]]]) -> Iterable[HashMatch]:
    """Return the versions of these blobs; a version has one blob."""
    return (HashMatch(match, version) for match, versions in groups for version in versions)
