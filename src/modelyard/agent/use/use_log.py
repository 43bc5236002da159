"""When this machine used each model last: kept in a file, and reported with heartbeats."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from modelyard.client.atomic_file import ensure_private_folder
from modelyard.wire.uses.reports import MAX_HEARTBEAT_USES, MAX_USE_GAP, ModelUse

# The newest are kept; more models no machine holds.
MAX_MODELS = 50_000
# A later use within this time changes nothing: a model may be used by several prompts a second.
_SAME_USE = timedelta(minutes=1)
# A known use is reported again if it is so much later.
_REPORT_AGAIN = timedelta(minutes=10)
# The times of the reads are saved so often.
_SAVE_AGAIN = timedelta(hours=1)


class _Stored(BaseModel):
    """The content of the file."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    counted_since: AwareDatetime | None
    read_at: dict[str, AwareDatetime] = Field(default_factory=dict)
    last_uses: dict[UUID, AwareDatetime] = Field(default_factory=dict)


@dataclass
class UseLog:
    """The last use of each model, and which uses were reported to the registry. Belongs to one event loop.

    ``urls``: the ComfyUIs whose histories have to be read for use to be counted; it is not counted without any.
    ``counted_since``: when counting began, None while it is not counted. ``read_at``: when the history of each ComfyUI
    was read last. ``has_changed``: whether something is to be saved.
    """

    urls: tuple[str, ...] = ()
    counted_since: datetime | None = None
    last_uses: dict[UUID, datetime] = field(default_factory=dict)
    read_at: dict[str, datetime] = field(default_factory=dict)
    has_changed: bool = True
    _saved_at: datetime | None = None
    _reported: dict[UUID, datetime] = field(default_factory=dict)

    def record_reads(self, urls: Iterable[str], now: datetime) -> None:
        """Record which histories could be read; call it also if none could.

        Counting begins once all were read, and ends if one was not read for ``MAX_USE_GAP``.
        """
        self.end_after_gap(now)
        self.read_at |= dict.fromkeys(set(urls).intersection(self.urls), now)
        if self.counted_since is None and self._is_read(now):
            self.counted_since = now
            self.has_changed = True
        if self._saved_at is None or now - self._saved_at >= _SAVE_AGAIN:
            self._saved_at = now
            self.has_changed = True

    def end_after_gap(self, now: datetime) -> None:
        """Stop counting if a ComfyUI was not read for ``MAX_USE_GAP``, or if the count began in the future.

        The second happens after the clock was ahead.
        """
        if self.counted_since is not None and (self.counted_since > now or not self._is_read(now)):
            self.counted_since = None
            self.has_changed = True

    def _is_read(self, now: datetime) -> bool:
        """Return whether there are ComfyUIs, and all were read within ``MAX_USE_GAP``."""
        times = [self.read_at.get(url) for url in self.urls]
        return bool(times) and all(time is not None and abs(now - time) <= MAX_USE_GAP for time in times)

    def record(self, uses: Mapping[UUID, datetime]) -> None:
        """Record when models were used; times less than ``_SAME_USE`` after the known ones change nothing."""
        for model_id, used in uses.items():
            known = self.last_uses.get(model_id)
            if known is None or used - known >= _SAME_USE:
                self.last_uses[model_id] = used
                self.has_changed = True

    def list_unreported(self) -> list[ModelUse]:
        """Return the uses that the registry does not know, as many as fit into one heartbeat."""
        found: list[ModelUse] = []
        for model_id, used in self.last_uses.items():
            reported = self._reported.get(model_id)
            if reported is None or used - reported >= _REPORT_AGAIN:
                found.append(ModelUse(model_id=model_id, last_used_at=used))
            if len(found) == MAX_HEARTBEAT_USES:
                break
        return found

    def record_reported(self, uses: Iterable[ModelUse], *, resend_all: bool) -> None:
        """Record which uses the registry has; with ``resend_all``, all others count as unreported again."""
        if resend_all:
            self._reported.clear()
        self._reported |= {use.model_id: use.last_used_at for use in uses}


def open_use_log(file: Path, urls: tuple[str, ...], *, is_counted: bool) -> UseLog | None:
    """Return the log in a file, a new one if it is missing or damaged. Blocking.

    Counting continues if these ComfyUIs were read within ``MAX_USE_GAP``. None if use is not counted; then the file is
    deleted, since what is used from now on will not be known.
    """
    if not is_counted:
        file.unlink(missing_ok=True)
        return None
    try:
        stored = _Stored.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return UseLog(urls)
    use_log = UseLog(urls, stored.counted_since, dict(stored.last_uses), dict(stored.read_at), has_changed=False)
    use_log.end_after_gap(datetime.now(UTC))
    return use_log


def save_use_log(file: Path, use_log: UseLog) -> None:
    """Write a log, which does not change meanwhile, atomically, with the newest ``MAX_MODELS``. Blocking.

    Not synced to disk: after a power failure, ComfyUI's history is lost too.

    Raises:
        OSError: the folder cannot be written.
    """
    newest = sorted(use_log.last_uses.items(), key=lambda item: item[1], reverse=True)[:MAX_MODELS]
    document = {
        "counted_since": use_log.counted_since and use_log.counted_since.isoformat(),
        "read_at": {url: use_log.read_at[url].isoformat() for url in use_log.urls if url in use_log.read_at},
        "last_uses": {str(model_id): used.isoformat() for model_id, used in newest},
    }
    ensure_private_folder(file.parent)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_text(json.dumps(document) + "\n", encoding="utf-8")
    draft.replace(file)
