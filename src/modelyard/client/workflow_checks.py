"""Check workflow files of this machine: what the registry has of them; assign what a machine lacks, rewrite names."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelyard.client.api.registry import RegistryApi
from modelyard.comfyui.quoting import in_bytes, quoted
from modelyard.comfyui.workflows.embedded.extract import extract_workflow
from modelyard.comfyui.workflows.references import WorkflowUnreadable
from modelyard.comfyui.workflows.rewriting import replace_names
from modelyard.transfer.errors import build_disk_error
from modelyard.wire.workflows import MachineReadiness, WorkflowCheck, WorkflowReference

# A file is read into memory; only long videos are larger.
MAX_FILE_BYTES = 1_000_000_000


@dataclass(frozen=True)
class CheckedFile:
    """A workflow file, the workflow in it as JSON text, and what the registry says about it."""

    path: Path
    document: bytes
    check: WorkflowCheck

    @property
    def missing(self) -> list[WorkflowReference]:
        """The references that the workflow requires and whose name loads no file of the team, each name once."""
        absent = [each for each in self.check.reference_list if each.is_required and not is_loadable(each)]
        return list({(each.folder, each.name): each for each in absent}.values())

    def find_machine(self, agent_id: str) -> MachineReadiness | None:
        """Return whether a machine can run the workflow; None if the team has no such machine."""
        return next((each for each in self.check.machine_list if each.agent_id == agent_id), None)


def is_loadable(reference: WorkflowReference) -> bool:
    """Return whether the name that the workflow has loads a file of the team, perhaps with another content."""
    return reference.state in ("present", "other_content")


async def check_workflows(registry: RegistryApi, paths: Sequence[Path]) -> list[CheckedFile]:
    """Check workflow files, and pictures and sounds in which ComfyUI saved a workflow; only the workflow is sent.

    Raises:
        DiskFailed: a file cannot be read.
        ValueError: a file has no workflow, or is too large; nothing was asked then.
    """
    documents = [await asyncio.to_thread(_read_document, path) for path in paths]
    checks = [await registry.check_workflow(document) for document in documents]
    return [CheckedFile(*each) for each in zip(paths, documents, checks, strict=True)]


def _read_document(path: Path) -> bytes:
    """Return the workflow in a file, as JSON text; raises as ``check_workflows``."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ValueError(f"{quoted(path)} is larger than {in_bytes(MAX_FILE_BYTES)}, and is not read.")
        return extract_workflow(path.read_bytes())
    except OSError as failure:
        raise build_disk_error(path, failure) from failure
    except WorkflowUnreadable as unreadable:
        raise ValueError(f"{quoted(path)}: {unreadable}") from None


def write_rewritten(checked: CheckedFile, names: Mapping[str, str], target: Path) -> None:
    """Write a copy of the workflow with other names; an existing file is never replaced.

    Raises:
        DiskFailed, DiskFull: it exists, or cannot be written.
    """
    try:
        with target.open("xb") as file:
            file.write(replace_names(checked.document, names))
    except OSError as failure:
        raise build_disk_error(target, failure) from failure


async def assign_missing(registry: RegistryApi, agent_id: str, checked: Sequence[CheckedFile]) -> int:
    """Assign to a machine the models that the workflows require and that are not meant for it; return how many."""
    found = [machine for each in checked if (machine := each.find_machine(agent_id)) is not None]
    ids = list(dict.fromkeys(model_id for machine in found for model_id in machine.missing_list))
    for model_id in ids:
        await registry.assign_model(agent_id, model_id)
    return len(ids)
