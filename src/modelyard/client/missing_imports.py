"""Imports of the models that checked workflows require and the team lacks, from the addresses in the workflows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pydantic import ValidationError

from modelyard.client.api.registry import RegistryApi
from modelyard.client.imports import DraftChanges, confirm_draft
from modelyard.client.workflow_checks import CheckedFile
from modelyard.wire.imports.drafts import ImportDraft, ImportLink
from modelyard.wire.imports.jobs import NewImport
from modelyard.wire.paths import parse_model_path
from modelyard.wire.problems.base import Problem
from modelyard.wire.workflows import WorkflowReference


@dataclass(frozen=True)
class MissingImport:
    """The planned import of the model with this ``name``; without one, ``error`` says why."""

    name: str
    draft: ImportDraft | None = None
    new: NewImport | None = None
    error: str | None = None


async def plan_imports(registry: RegistryApi, checked: Sequence[CheckedFile]) -> list[MissingImport]:
    """Look up the addresses of the models that the workflows require and the team does not have, each once.

    Models without a folder or an address are left out. A link that cannot be imported does not stop the others.
    """
    return [await _plan_import(registry, each) for each in list_importable(checked)]


def list_importable(checked: Sequence[CheckedFile]) -> list[WorkflowReference]:
    """Return the required references that have a folder and an address, and whose file the team may lack.

    Each path once. A file of the declared hash under another name, and one whose name differs in case only, are files
    that the team has. Pure.
    """
    absent = [each for one in checked for each in one.missing if each.folder and each.url and _may_be_absent(each)]
    return list({_build_path(each): each for each in reversed(absent)}.values())[::-1]


def _may_be_absent(reference: WorkflowReference) -> bool:
    """Return whether the team has no file of this hash, or of this name but for its case."""
    if reference.state == "similar":
        named = (reference.suggestion or "").casefold()
        return named != reference.name.replace("\\", "/").casefold()
    return reference.state == "unknown"


async def _plan_import(registry: RegistryApi, reference: WorkflowReference) -> MissingImport:
    """Look up the address of one model."""
    try:
        link = ImportLink(url=reference.url or "")
    except ValidationError:
        return MissingImport(reference.name, error="Its address is not a link.")
    try:
        draft = await registry.resolve_link(link)
        return MissingImport(reference.name, draft, confirm_missing(reference, draft))
    except (Problem, ValueError) as failure:
        return MissingImport(reference.name, error=str(failure))


def confirm_missing(reference: WorkflowReference, draft: ImportDraft) -> NewImport:
    """Return the import of a draft to the path that the workflow loads. Pure.

    A SHA-256 that the workflow declares is compared with the downloaded file if the source declares none.

    Raises:
        ValueError: the draft is about a file of another format or content.
        ModelPathInvalid: the registry takes no model at that path.
    """
    path = _build_path(reference)
    parse_model_path(path.partition("/")[0], path)
    suffix = PurePosixPath(path).suffix.casefold()
    if PurePosixPath(draft.file_name).suffix.casefold() != suffix:
        raise ValueError(f"Its address leads to {draft.file_name}.")
    # Hashes of other kinds have their kind before a colon.
    needed = f"sha256:{reference.hash}" if reference.hash and ":" not in reference.hash else None
    if needed and draft.hashes.sha256 not in (None, needed):
        raise ValueError("The file at its address has another hash than the workflow declares.")
    new = confirm_draft(draft, DraftChanges(reference.folder, path))
    return new if new.file_hash or not needed else new.model_copy(update={"file_hash": needed})


def _build_path(reference: WorkflowReference) -> str:
    """Return the model path at which the workflow finds the file."""
    name = reference.name.replace("\\", "/")
    return f"{reference.folder}/{name}"
