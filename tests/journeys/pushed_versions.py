"""Versions of one model, pushed and listed through the API of a running registry."""

from datetime import datetime
from typing import Any, NamedTuple

import httpx2

from tests.journeys.agent_processes import FilePoller
from tests.server.harness import ApiCaller, hash_of
from tests.waiting import PATIENCE_SECONDS, wait_until

VERIFICATION_SECONDS = 4 * PATIENCE_SECONDS


class ListedVersion(NamedTuple):
    """What the registry lists about one version."""

    number: int
    status: str
    file_hash: str
    promoted_at: datetime | None


class VersionedModel:
    """A model to which a test pushes versions.

    ``contents`` are the bytes that each version was declared with, from the first; ``caller`` may be exchanged.
    """

    def __init__(self, caller: ApiCaller, path: str, content: bytes) -> None:
        self.caller = caller
        self.path = path
        self.contents = [content]
        response = caller.post("/models", **caller.new_model(content, path))
        assert response.status_code == 201, response.text
        self.id = str(response.json()["id"])

    def register_version(self, content: bytes, **changed: Any) -> httpx2.Response:
        """Register content as a version, and return the response; content with a ``storage_key`` is not uploaded."""
        body = self.caller.new_model(content, self.path, replaces=self.id, **changed)
        return self.caller.post("/models", **body)

    def push(self, content: bytes) -> None:
        """Upload content and register it as the next version; do not wait for its verification."""
        response = self.register_version(content)
        assert (response.status_code, response.json().get("id")) == (200, self.id), response.text
        self.contents.append(content)

    def activate(self, number: int) -> None:
        """Make a verified version the current one."""
        response = self.caller.post(f"/models/{self.id}/versions/{number}/activate")
        assert response.status_code == 200, response.text

    def list_versions(self) -> list[ListedVersion]:
        """Return all versions, oldest first."""
        entries: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            response = self.caller.get(f"/models/{self.id}/versions", per_page=100, cursor=cursor)
            assert response.status_code == 200, response.text
            entries += response.json()["version_list"]
            cursor = response.json()["page_meta"].get("next_cursor")
        return [_build_listed_version(entry) for entry in reversed(entries)]

    def list_statuses(self) -> list[str]:
        """Return the status of each version, oldest first."""
        return [version.status for version in self.list_versions()]

    def wait_for_status(self, number: int, status: str) -> None:
        """Wait until a version has this status; fails at once if it is none that verification can still change."""

        def has_status() -> bool:
            found = self.list_statuses()[number - 1]
            assert found in {"pending", status}
            return found == status

        wait_until(has_status, VERIFICATION_SECONDS)

    def get_promotion_times(self) -> dict[str, datetime]:
        """Return when each content that was current once became so, by the hex digest of its SHA-256."""
        return {
            version.file_hash.removeprefix("sha256:"): version.promoted_at
            for version in self.list_versions()
            if version.promoted_at is not None
        }

    def check_versions_are_complete(self) -> None:
        """Assert that the registry lists exactly the pushed versions, numbered from 1."""
        expected = [(number, hash_of(content)) for number, content in enumerate(self.contents, start=1)]
        assert [(version.number, version.file_hash) for version in self.list_versions()] == expected


def check_seen_contents(poller: FilePoller, model: VersionedModel) -> None:
    """Assert that the file was never missing, and never had bytes of a version before that was promoted."""
    promoted_at = model.get_promotion_times()
    first_seen = poller.first_seen[model.path]
    assert poller.gaps[model.path] == 0
    assert first_seen.keys() <= promoted_at.keys()
    assert all(promoted_at[digest] <= moment for digest, moment in first_seen.items())


def _build_listed_version(entry: dict[str, Any]) -> ListedVersion:
    """Build a version from the API's representation."""
    promoted_at = datetime.fromisoformat(entry["promoted_at"]) if entry["promoted_at"] else None
    return ListedVersion(entry["version"], entry["version_status"], entry["file_hash"], promoted_at)
