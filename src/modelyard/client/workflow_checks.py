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
from modelyard.transfer.errors import DiskFailed, build_disk_error
from modelyard.wire.problems import BodyTooLarge, WorkflowRefused
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


@dataclass(frozen=True)
class UncheckedFile:
    """A file that has no workflow which can be checked, and why."""

    path: Path
    error: Exception


class WorkflowsUnchecked(Exception):
    """Files among several have no workflow that can be checked; the text names each with the reason."""

    def __init__(self, failed: Sequence[UncheckedFile]) -> None:
        super().__init__("\n".join(describe_failure(each.path, str(each.error)) for each in failed))
        self.failed = failed


def describe_failure(path: Path, reason: str) -> str:
    """Return why a file failed, with its name in front if the reason does not have it."""
    return reason if quoted(path) in reason else f"{quoted(path)}: {reason}"


def is_loadable(reference: WorkflowReference) -> bool:
    """Return whether the name that the workflow has loads a file of the team, perhaps with another content."""
    return reference.state in ("present", "other_content")


async def check_workflows(registry: RegistryApi, paths: Sequence[Path]) -> list[CheckedFile]:
    """Check workflow files, and pictures and sounds in which ComfyUI saved a workflow; only the workflow is sent.

    Raises:
        WorkflowsUnchecked: at least one of them cannot be checked.
    """
    found = await check_each_workflow(registry, paths)
    if failed := [each for each in found if isinstance(each, UncheckedFile)]:
        raise WorkflowsUnchecked(failed)
    return [each for each in found if isinstance(each, CheckedFile)]


async def check_each_workflow(registry: RegistryApi, paths: Sequence[Path]) -> list[CheckedFile | UncheckedFile]:
    """Check files as ``check_workflows``; one that cannot be checked does not stop the others."""
    return [await _check_file(registry, path) for path in paths]


async def _check_file(registry: RegistryApi, path: Path) -> CheckedFile | UncheckedFile:
    """Check a file, or return why that is not possible."""
    try:
        document = await asyncio.to_thread(_read_document, path)
        return CheckedFile(path, document, await registry.check_workflow(document))
    except (DiskFailed, ValueError, WorkflowRefused, BodyTooLarge) as failure:
        return UncheckedFile(path, failure)


def _read_document(path: Path) -> bytes:
    """Return the workflow in a file, as JSON text.

    Raises:
        DiskFailed: it cannot be read.
        ValueError: it has no workflow, or is too large.
    """
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
