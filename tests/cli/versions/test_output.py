"""The lines about versions: the table, and the state of a model in a list."""

from typing import Any

import pytest

from modelyard.cli.registry.model_columns import describe_state
from modelyard.cli.registry.versions import format_versions
from modelyard.cli.terminal.formatting import count_columns
from modelyard.wire.models import Model
from modelyard.wire.versions import ModelVersion, PendingVersion


def build_version(**changed: Any) -> ModelVersion:
    return ModelVersion.model_validate(
        {
            "version": 123,
            "version_status": "superseded",
            "file_hash": "sha256:" + "ab" * 32,
            "file_size": 123_456_789,
            "blake3_hash": None,
            "verification": "verified",
            "verification_error": None,
            "created_by": {"kind": "user", "id": None, "display_name": "Augusta Ada King, Countess of Lovelace"},
            "created_at": "2026-01-01T00:00:00Z",
            "promoted_at": None,
            "note": "Trained on forty more pictures of hands.",
            "metadata": {},
            "preview_url": None,
            "preview_color": None,
        }
        | changed
    )


def test_format_versions_wraps_notes_to_given_columns() -> None:
    each = build_version()
    table = list(map(str, format_versions([each], 80)))
    assert max(map(count_columns, table)) <= 80
    assert " ".join(" ".join(table[2:]).split()) == " ".join((each.note or "").split())
    assert str(format_versions([each], None)[1]).endswith("of hands.")


def test_format_versions_says_why_one_failed_one_is_damaged_and_one_waits() -> None:
    failed = build_version(
        version=1, version_status="failed", verification="failed", verification_error="It is no model."
    )
    damaged = build_version(
        version=3, version_status="current", verification="failed", verification_error="The file is missing."
    )
    waiting = build_version(version=2, verification="pending", verification_error="The inspection failed.")
    lines = list(map(str, format_versions([damaged, waiting, failed], 80)))
    assert "current, damaged" in lines[1]
    assert lines[-3:] == [
        "Version 3 is damaged: The file is missing.",
        "Version 2 is not verified yet: The inspection failed.",
        "Version 1 failed: It is no model.",
    ]


@pytest.mark.parametrize(
    ("pending", "state"),
    [
        (None, "damaged"),
        (PendingVersion(version=1, verification="failed", verification_error="It is no model."), "failed"),
        (PendingVersion(version=2, verification="pending", verification_error=None), "damaged, v2 pending"),
    ],
    ids=["verified once", "never verified", "verified once, and pushed anew"],
)
def test_describe_state_calls_damaged_what_was_verified_once(pending: PendingVersion | None, state: str) -> None:
    fields: dict[str, Any] = {"version": 1, "verification": "failed", "model_status": "active"}
    model = Model.model_construct(**fields | {"pending_version": pending})
    assert describe_state(model) == state
