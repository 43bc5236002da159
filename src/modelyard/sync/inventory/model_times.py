"""The modification times of placed files."""

from datetime import UTC, datetime
from uuid import UUID

# The time for ids without a time, or with an impossible one.
_DEFAULT_TIME = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
_LATEST_TIME = datetime(2037, 1, 1, tzinfo=UTC).timestamp()
_NO_MODEL = UUID(int=0)
_DAY_SECONDS = 24 * 60 * 60
# FAT stores times in steps of two seconds.
_TOLERANCE_NS = 2 * 10**9


def compute_mtime_ns(model_id: UUID, sha256: str) -> int:
    """Return the modification time of a model's file in nanoseconds, the same on every machine.

    ComfyUI identifies a file by size and time. So the time must not change when the record is edited, as ``updated_at``
    does, and two contents must not share one, since models of one kind often have the same size. It is the creation of
    the record, which its id (UUIDv7) contains, minus a part of a day derived from the hash. A file that is removed and
    downloaded again gets the same time.
    """
    created = (model_id.int >> 80) / 1000 if model_id.version == 7 else _DEFAULT_TIME
    if not _DEFAULT_TIME <= created < _LATEST_TIME:
        created = _DEFAULT_TIME
    seconds = int(created) - int(sha256[:8], 16) % _DAY_SECONDS
    return seconds * 10**9 + int(sha256[8:16], 16) % 10**9


def compute_folder_file_mtime_ns(sha256: str) -> int:
    """Return the modification time of a file of a folder model; it depends on the content only.

    So the files of a folder stay the agent's own if the same folder becomes that of another model.
    """
    return compute_mtime_ns(_NO_MODEL, sha256)


def has_placed_time(sha256: str, mtime_ns: int) -> bool:
    """Return whether a file of a folder has the time that the agent gave it, as far as the file system stores times."""
    return abs(compute_folder_file_mtime_ns(sha256) - mtime_ns) <= _TOLERANCE_NS
