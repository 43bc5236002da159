"""The pure decisions of a registration, as tables."""

from dataclasses import replace
from typing import Any

import pytest

from modelyard.server.models.registration.decide import (
    BlobDecision,
    ExistingBlob,
    ExistingModel,
    ExistingVersion,
    RegistrationDecision,
    RequestedContent,
    UploadedContent,
    build_incomplete,
    check_declared_sizes,
    check_digest,
    check_stored_size,
    decide_blob,
    decide_registration,
)
from modelyard.server.models.registration.decide import RegistrationAction as Action
from modelyard.server.storage.blob_store import Digest
from modelyard.wire import problems

HASH, OTHER_HASH = "sha256:" + "a" * 64, "sha256:" + "b" * 64
DIGEST = Digest("a" * 64, "c" * 64)
METADATA: dict[str, Any] = {"format": "safetensors"}
STORED_METADATA: dict[str, Any] = {"format": "safetensors", "parameter_count": 1}


def build_content(digest: Digest | None = DIGEST, metadata: dict[str, Any] | None = METADATA) -> UploadedContent:
    return UploadedContent("models/a/b", 100, digest, "1", metadata)


@pytest.mark.parametrize("registered", [99, 101])
def test_check_declared_sizes_other_size_than_presigned_raises_size_mismatch(registered: int) -> None:
    with pytest.raises(problems.SizeMismatch) as raised:
        check_declared_sizes(100, registered)
    facts = raised.value.facts
    assert (facts["presigned"], facts["registered"]) == (100, registered)
    assert [error["field"] for error in facts["errors"]] == ["file_size"]


@pytest.mark.parametrize(("stored", "difference"), [(97, "3 fewer"), (103, "3 more")])
def test_check_stored_size_other_size_than_declared_raises_upload_incomplete(stored: int, difference: str) -> None:
    with pytest.raises(problems.UploadIncomplete, match=difference) as raised:
        check_stored_size(stored, 100)
    assert raised.value.facts == {"stored": stored, "declared": 100}


def test_check_sizes_equal_sizes_pass() -> None:
    check_declared_sizes(100, 100)
    check_stored_size(100, 100)


@pytest.mark.parametrize(
    ("stored", "detail"),
    [(0, "None of the 100"), (40, "Only 40 of the 100"), (100, "All 100")],
    ids=["nothing arrived", "some bytes arrived", "all parts arrived, not completed"],
)
def test_build_incomplete_detail_says_how_much_arrived(stored: int, detail: str) -> None:
    problem = build_incomplete(stored, 100)
    assert problem.detail.startswith(detail)
    assert problem.facts == {"stored": stored, "declared": 100}


@pytest.mark.parametrize("digest", [None, DIGEST], ids=["not hashed yet", "equal"])
def test_check_digest_unknown_or_equal_passes(digest: Digest | None) -> None:
    check_digest(digest, HASH)


def test_check_digest_other_hash_raises_hash_mismatch_with_both_hashes() -> None:
    with pytest.raises(problems.HashMismatch) as raised:
        check_digest(DIGEST, OTHER_HASH)
    assert (raised.value.facts["stored_hash"], raised.value.facts["declared_hash"]) == (HASH, OTHER_HASH)


NEW_HASH = "sha256:" + "e" * 64
SIZE = 100


def build_version(number: int, file_hash: str, verification: str, *, verified: bool, current: bool) -> ExistingVersion:
    return ExistingVersion(number, file_hash, SIZE, verification, was_verified=verified, was_current=current)


CURRENT = build_version(2, HASH, "verified", verified=True, current=True)
NEWEST = build_version(3, OTHER_HASH, "pending", verified=False, current=False)
NEVER_VERIFIED = build_version(3, HASH, "failed", verified=False, current=False)
DAMAGED = replace(build_version(3, HASH, "failed", verified=True, current=True), is_damaged=True)
DOUBTFUL = replace(DAMAGED, verification="verified", is_damaged=False, is_doubtful=True)
NEVER_CURRENT = replace(build_version(3, HASH, "failed", verified=True, current=False), is_damaged=True)
PUSHED_AGAIN = replace(NEVER_CURRENT, is_pending=True, is_damaged=False)
DAMAGED_FOLDER = replace(NEVER_VERIFIED, is_pending=True, is_damaged=True)


@pytest.mark.parametrize(
    ("existing", "file_hash", "decision"),
    [
        pytest.param(
            ExistingModel(CURRENT, CURRENT, 4),
            HASH,
            RegistrationDecision(Action.RETURN_EXISTING, 2),
            id="same as shown",
        ),
        pytest.param(
            ExistingModel(CURRENT, NEWEST, 4),
            OTHER_HASH,
            RegistrationDecision(Action.RETURN_EXISTING, 3),
            id="same as pending",
        ),
        pytest.param(
            ExistingModel(NEVER_VERIFIED, NEVER_VERIFIED, 4),
            HASH,
            RegistrationDecision(Action.REPAIR, 3, needs_change_right=True),
            id="same as failed",
        ),
        pytest.param(
            ExistingModel(DAMAGED, DAMAGED, 4), HASH, RegistrationDecision(Action.REPAIR, 3), id="same as damaged"
        ),
        pytest.param(
            ExistingModel(replace(DAMAGED, is_damaged=False), NEWEST, 4),
            HASH,
            RegistrationDecision(Action.REPAIR, 3),
            id="same as one that was current, which got wrong bytes",
        ),
        pytest.param(
            ExistingModel(PUSHED_AGAIN, PUSHED_AGAIN, 4),
            HASH,
            RegistrationDecision(Action.REPAIR, 3, needs_change_right=True),
            id="same as pending, which got wrong bytes after it had been verified",
        ),
        pytest.param(
            ExistingModel(DAMAGED_FOLDER, DAMAGED_FOLDER, 4),
            HASH,
            RegistrationDecision(Action.REPAIR, 3),
            id="same as pending folder, whose files were all verified",
        ),
        pytest.param(
            ExistingModel(CURRENT, NEVER_CURRENT, 4),
            HASH,
            RegistrationDecision(Action.RETURN_EXISTING, 2),
            id="same as shown and as a damaged one that was never current",
        ),
        pytest.param(
            ExistingModel(DOUBTFUL, DOUBTFUL, 4),
            HASH,
            RegistrationDecision(Action.REPLACE_OBJECTS, 3),
            id="same as doubtful",
        ),
        pytest.param(
            ExistingModel(CURRENT, NEWEST, 4), NEW_HASH, RegistrationDecision(Action.REFUSE_PATH), id="other content"
        ),
    ],
)
def test_decide_registration_at_path(existing: ExistingModel, file_hash: str, decision: RegistrationDecision) -> None:
    assert decide_registration(existing, RequestedContent(file_hash, SIZE, is_new_version=False)) == decision


@pytest.mark.parametrize(
    ("newest", "file_hash", "expected_version", "decision"),
    [
        pytest.param(NEWEST, NEW_HASH, None, RegistrationDecision(Action.ADD_VERSION, None, True), id="new content"),
        pytest.param(
            NEWEST,
            NEW_HASH,
            3,
            RegistrationDecision(Action.ADD_VERSION, None, True),
            id="new content after the expected version",
        ),
        pytest.param(
            NEWEST,
            NEW_HASH,
            2,
            RegistrationDecision(Action.REFUSE_VERSION, None, True),
            id="new content after an older version",
        ),
        pytest.param(
            NEWEST,
            NEW_HASH,
            4,
            RegistrationDecision(Action.ADD_VERSION, None, True),
            id="new content after a version that was deleted since",
        ),
        pytest.param(
            NEWEST,
            NEW_HASH,
            5,
            RegistrationDecision(Action.REFUSE_VERSION, None, True),
            id="new content after a version that never was",
        ),
        pytest.param(
            NEWEST,
            OTHER_HASH,
            2,
            RegistrationDecision(Action.RETURN_EXISTING, 3),
            id="repeated, although another is expected",
        ),
        pytest.param(
            NEWEST,
            HASH,
            3,
            RegistrationDecision(Action.ADD_VERSION, None, True),
            id="content of an older version again",
        ),
        pytest.param(
            NEVER_VERIFIED, HASH, 2, RegistrationDecision(Action.REPAIR, 3, True), id="content that failed again"
        ),
        pytest.param(DAMAGED, HASH, 2, RegistrationDecision(Action.REPAIR, 3), id="damaged content again"),
        pytest.param(
            NEVER_CURRENT,
            HASH,
            2,
            RegistrationDecision(Action.REPAIR, 3, True),
            id="damaged content again that was never current",
        ),
        pytest.param(DOUBTFUL, HASH, 2, RegistrationDecision(Action.REPLACE_OBJECTS, 3), id="doubtful content again"),
    ],
)
def test_decide_registration_of_new_version(
    newest: ExistingVersion, file_hash: str, expected_version: int | None, decision: RegistrationDecision
) -> None:
    requested = RequestedContent(file_hash, SIZE, is_new_version=True, expected_version=expected_version)
    assert decide_registration(ExistingModel(CURRENT, newest, 4), requested) == decision


@pytest.mark.parametrize("version", [CURRENT, DAMAGED])
def test_decide_registration_other_size_of_content_that_was_verified_raises_size_mismatch(
    version: ExistingVersion,
) -> None:
    requested = RequestedContent(version.file_hash, SIZE + 1, is_new_version=False)
    with pytest.raises(problems.SizeMismatch) as raised:
        decide_registration(ExistingModel(version, version, 3), requested)
    facts = raised.value.facts
    assert (facts["known"], facts["registered"]) == (SIZE, SIZE + 1)
    assert [error["field"] for error in facts["errors"]] == ["file_size"]


def test_decide_registration_other_size_of_content_that_was_never_verified_repairs_it() -> None:
    requested = RequestedContent(HASH, SIZE + 1, is_new_version=False)
    decision = decide_registration(ExistingModel(NEVER_VERIFIED, NEVER_VERIFIED, 3), requested)
    assert decision.action is Action.REPAIR


@pytest.mark.parametrize(
    ("content", "existing", "decision"),
    [
        pytest.param(build_content(), None, BlobDecision(False, METADATA, False), id="new, hashed and inspected"),
        pytest.param(build_content(digest=None), None, BlobDecision(False, METADATA, True), id="new, not hashed"),
        pytest.param(build_content(metadata=None), None, BlobDecision(False, None, True), id="new, not inspected"),
        pytest.param(
            build_content(digest=None),
            ExistingBlob(STORED_METADATA),
            BlobDecision(False, METADATA, True),
            id="stored, but not hashed, so not proven equal",
        ),
        pytest.param(
            build_content(), ExistingBlob(STORED_METADATA), BlobDecision(True, METADATA, False), id="stored, inspected"
        ),
        pytest.param(
            build_content(metadata=None),
            ExistingBlob(STORED_METADATA),
            BlobDecision(True, STORED_METADATA, False),
            id="stored, with metadata of another model",
        ),
        pytest.param(
            build_content(metadata=None),
            ExistingBlob(None),
            BlobDecision(True, None, True),
            id="stored, without any metadata",
        ),
    ],
)
def test_decide_blob_of_uploaded_file(
    content: UploadedContent, existing: ExistingBlob | None, decision: BlobDecision
) -> None:
    assert decide_blob(content, existing, was_presigned_as_stored=False) == decision


def test_decide_blob_presigned_as_stored_uses_the_existing_blob() -> None:
    existing = ExistingBlob(STORED_METADATA)
    decision = decide_blob(build_content(), existing, was_presigned_as_stored=True)
    assert decision.use_existing


def test_decide_blob_presigned_as_stored_but_damaged_since_raises_upload_incomplete() -> None:
    with pytest.raises(problems.UploadIncomplete) as raised:
        decide_blob(build_content(), None, was_presigned_as_stored=True)
    assert raised.value.facts == {"stored": 0, "declared": 100}
