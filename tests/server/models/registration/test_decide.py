"""The pure decisions of a registration, as tables."""

from typing import Any

import pytest

from modelyard.server.models.registration.decide import (
    BlobDecision,
    ExistingBlob,
    ExistingModel,
    PathAction,
    UploadedContent,
    check_digest,
    check_size,
    decide_blob,
    decide_path_action,
)
from modelyard.server.storage.blob_store import Digest
from modelyard.wire import problems

HASH, OTHER_HASH = "sha256:" + "a" * 64, "sha256:" + "b" * 64
DIGEST = Digest("a" * 64, "c" * 64)
METADATA: dict[str, Any] = {"format": "safetensors"}
STORED_METADATA: dict[str, Any] = {"format": "safetensors", "parameter_count": 1}


def build_content(digest: Digest | None = DIGEST, metadata: dict[str, Any] | None = METADATA) -> UploadedContent:
    return UploadedContent("models/a/b", 100, digest, "1", metadata)


@pytest.mark.parametrize(
    ("stored", "presigned", "registered", "declared"),
    [(99, 100, 100, 100), (101, 100, 100, 100), (100, 100, 99, 100), (100, 101, 100, 101)],
)
def test_check_size_any_difference_raises_upload_incomplete(
    stored: int, presigned: int, registered: int, declared: int
) -> None:
    with pytest.raises(problems.UploadIncomplete) as raised:
        check_size(stored, presigned, registered)
    assert raised.value.facts == {"stored": stored, "declared": declared}


def test_check_size_equal_sizes_pass() -> None:
    check_size(100, 100, 100)


@pytest.mark.parametrize("digest", [None, DIGEST], ids=["not hashed yet", "equal"])
def test_check_digest_unknown_or_equal_passes(digest: Digest | None) -> None:
    check_digest(digest, HASH)


def test_check_digest_other_hash_raises_hash_mismatch_with_both_hashes() -> None:
    with pytest.raises(problems.HashMismatch) as raised:
        check_digest(DIGEST, OTHER_HASH)
    assert (raised.value.facts["stored_hash"], raised.value.facts["declared_hash"]) == (HASH, OTHER_HASH)


@pytest.mark.parametrize(
    ("existing", "action"),
    [
        (None, PathAction.CREATE),
        (ExistingModel(HASH, "verified"), PathAction.RETURN_EXISTING),
        (ExistingModel(HASH, "pending"), PathAction.RETURN_EXISTING),
        (ExistingModel(HASH, "failed"), PathAction.REPAIR),
        (ExistingModel(OTHER_HASH, "verified"), PathAction.REFUSE),
        (ExistingModel(OTHER_HASH, "failed"), PathAction.REFUSE),
    ],
)
def test_decide_path_action_by_existing_model(existing: ExistingModel | None, action: PathAction) -> None:
    assert decide_path_action(existing, HASH) is action


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
    decision = decide_blob(build_content(), ExistingBlob(STORED_METADATA), was_presigned_as_stored=True)
    assert decision.use_existing


def test_decide_blob_presigned_as_stored_but_damaged_since_raises_upload_incomplete() -> None:
    with pytest.raises(problems.UploadIncomplete) as raised:
        decide_blob(build_content(), None, was_presigned_as_stored=True)
    assert raised.value.facts == {"stored": 0, "declared": 100}
