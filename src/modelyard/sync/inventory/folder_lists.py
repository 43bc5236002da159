"""The lists of files of folder models, by the hash of their canonical manifest, in the state file."""

from collections.abc import Collection, Iterable, Sequence

from modelyard.sync.inventory.state_db import StateFile
from modelyard.wire.folders.manifest import FolderFile, build_manifest, get_file_hash, parse_manifest
from modelyard.wire.folders.names import FolderInvalid


class FolderLists:
    """The lists in the state file; blocking, durable when a method returns.

    A list is what a folder model has, not what is on the disk. It is needed as long as a placement has its hash.

    Raises:
        StateFileError: from every method, see ``StateFile``.
    """

    def __init__(self, state: StateFile) -> None:
        self._state = state

    def save(self, sha256: str, files: Sequence[FolderFile]) -> None:
        """Store a list, unless it is stored already.

        Raises:
            ValueError: its canonical manifest has another hash.
            FolderInvalid: ``find`` could not parse its manifest again.
        """
        manifest = build_manifest(files)
        if get_file_hash(manifest) != f"sha256:{sha256}":
            raise ValueError(f"The list of files does not have the hash {sha256}.")
        parse_manifest(manifest)
        with self._state.transaction() as database:
            row = database.execute("SELECT manifest FROM folder_lists WHERE sha256 = ?", (sha256,)).fetchone()
            if row is None or row[0] != manifest:
                database.execute(
                    "INSERT OR REPLACE INTO folder_lists (sha256, manifest) VALUES (?, ?)", (sha256, manifest)
                )

    def find(self, sha256: str) -> tuple[FolderFile, ...] | None:
        """Return the list with this hash, sorted by path; None if there is none, or none that can be parsed."""
        with self._state.transaction() as database:
            row = database.execute("SELECT manifest FROM folder_lists WHERE sha256 = ?", (sha256,)).fetchone()
        return None if row is None else _parse(row[0])

    def list_all_files(self) -> tuple[FolderFile, ...]:
        """Return the files of all lists; a path of two lists is there twice."""
        with self._state.transaction() as database:
            rows = database.execute("SELECT manifest FROM folder_lists").fetchall()
        return tuple(file for (manifest,) in rows for file in _parse(manifest) or ())

    def prune(self, kept: Collection[str]) -> None:
        """Delete the lists that neither a placement nor ``kept`` has. Writes nothing if there are none."""
        with self._state.transaction() as database:
            rows = database.execute(
                "SELECT sha256 FROM folder_lists WHERE sha256 NOT IN (SELECT sha256 FROM placements WHERE is_folder)"
            ).fetchall()
            if unused := [row for row in rows if row[0] not in kept]:
                database.executemany("DELETE FROM folder_lists WHERE sha256 = ?", unused)


def list_folder_paths(files: Iterable[FolderFile]) -> frozenset[str]:
    """Return the paths of all folders that files need, below the model's folder."""
    paths = [file.path.split("/")[:-1] for file in files]
    return frozenset("/".join(parts[:count]) for parts in paths for count in range(1, len(parts) + 1))


def _parse(manifest: bytes) -> tuple[FolderFile, ...] | None:
    """Return the files of a stored manifest; None if it is damaged, so that it is requested again."""
    try:
        return tuple(parse_manifest(manifest))
    except FolderInvalid:
        return None
