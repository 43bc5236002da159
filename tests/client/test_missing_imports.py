"""Imports of models that a workflow lacks: which ones, to which path, and which hash must be right."""

from pathlib import Path
from typing import Any

import pytest

from modelyard.client.missing_imports import confirm_missing, list_importable
from modelyard.client.workflow_checks import CheckedFile
from modelyard.wire.imports.drafts import ImportDraft, ImportSource, SourceHashes
from modelyard.wire.workflows import WorkflowCheck, WorkflowReference

HASH = "ab" * 32
OTHER_HASH = "cd" * 32
URL = "https://models.example/ink.safetensors"


def build_reference(**changed: Any) -> WorkflowReference:
    fields: dict[str, Any] = {
        "node_id": "1",
        "node_type": "LoraLoader",
        "input": "lora_name",
        "folder": "loras",
        "name": "styles\\ink.safetensors",
        "hash": None,
        "url": URL,
        "is_required": True,
        "state": "unknown",
        "model_id": None,
        "version": None,
        "suggestion": None,
    }
    return WorkflowReference(**(fields | changed))


def build_draft(**changed: Any) -> ImportDraft:
    fields: dict[str, Any] = {
        "url": URL,
        "source": ImportSource(kind="direct", page_url=URL, name="ink", revision=None),
        "file_list": [],
        "file_name": "other.safetensors",
        "size": 100,
        "hashes": SourceHashes(sha256=None),
        "display_name": "ink",
        "model_type": "checkpoints",
        "model_path": "checkpoints/other.safetensors",
        "base_model": None,
        "trigger_words": [],
        "license": None,
    }
    return ImportDraft(**(fields | changed))


def test_confirm_missing_has_the_path_that_the_workflow_loads() -> None:
    new = confirm_missing(build_reference(), build_draft())
    assert (new.model_type, new.model_path, new.file_hash) == ("loras", "loras/styles/ink.safetensors", None)


def test_confirm_missing_source_without_hash_gets_that_of_the_workflow() -> None:
    assert confirm_missing(build_reference(hash=HASH), build_draft()).file_hash == f"sha256:{HASH}"
    assert confirm_missing(build_reference(hash="md5:0011"), build_draft()).file_hash is None


@pytest.mark.parametrize(
    ("reference", "draft", "reason"),
    [
        (
            build_reference(hash=HASH),
            build_draft(hashes=SourceHashes(sha256=f"sha256:{OTHER_HASH}")),
            "another hash than the workflow declares",
        ),
        (build_reference(), build_draft(file_name="ink.ckpt"), r"leads to ink\.ckpt"),
        (build_reference(name="../../ink.safetensors"), build_draft(), r"no `\.\.`"),
        (build_reference(name="ink (1).safetensors"), build_draft(), "A path may contain"),
        (build_reference(folder="custom_nodes"), build_draft(), "holds no models"),
        (build_reference(name="a" * 400 + ".safetensors"), build_draft(), "^A path may have at most 400 bytes.$"),
        (build_reference(name="a" * 2000 + ".safetensors"), build_draft(), "^A path may have at most 400 bytes.$"),
    ],
    ids=["hash", "format", "parent folder", "characters", "folder of code", "long", "very long"],
)
def test_confirm_missing_what_cannot_be_imported_is_refused_with_reason(
    reference: WorkflowReference, draft: ImportDraft, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        confirm_missing(reference, draft)


def test_list_importable_takes_required_unknown_and_similar_references_with_folder_and_address_once() -> None:
    references = [
        build_reference(),
        build_reference(name="styles/ink.safetensors"),
        build_reference(name="a.safetensors", url=None),
        build_reference(name="b.safetensors", folder=None),
        build_reference(name="c.safetensors", is_required=False),
        build_reference(name="d.safetensors", state="similar", suggestion="style/d.safetensors"),
        build_reference(name="E.safetensors", state="similar", suggestion="e.safetensors"),
        build_reference(name="f.safetensors", state="other_name"),
    ]
    check = WorkflowCheck(reference_list=references, machine_list=[])
    found = list_importable([CheckedFile(Path("scene.json"), b"{}", check)])
    assert [each.name for each in found] == ["styles\\ink.safetensors", "d.safetensors"]
