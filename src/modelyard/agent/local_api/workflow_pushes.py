"""Push the open workflow: the files that the team lacks, and a collection of the models that the workflow requires."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from uuid import UUID

from modelyard.agent.local_api.http import LocalProblem
from modelyard.agent.local_api.push_requests import build_push_request
from modelyard.agent.local_api.shapes import FailedFile, FilePush, PushedWorkflow
from modelyard.client.api.registry import RegistryApi
from modelyard.client.collections import (
    WorkflowModels,
    collect_required_models,
    find_collection_named,
    merge_entries,
)
from modelyard.client.transfers.path_state import VersionNotCurrent
from modelyard.client.transfers.push import Pusher
from modelyard.client.workflow_checks import is_loadable
from modelyard.comfyui.layout import Install
from modelyard.comfyui.quoting import counted, quoted
from modelyard.transfer.errors import TransferFailed, Unreachable
from modelyard.wire.collections import Collection, CollectionSummary, NewCollection, NewCollectionVersion
from modelyard.wire.problems import (
    CollectionNameTaken,
    KeyNotAllowed,
    NotAMember,
    Problem,
    RoleTooLow,
    SessionEnded,
    Unauthenticated,
)
from modelyard.wire.workflows import WorkflowCheck

# These concern all files, and end the push.
_ENDING = (Unauthenticated, SessionEnded, NotAMember, RoleTooLow, KeyNotAllowed, Unreachable)
# So many models are named in a problem.
_MAX_NAMED = 10


@dataclass(frozen=True)
class WorkflowToPush:
    """A workflow as JSON text, the name of its collection, and the folders in which its models are.

    A collection of this name is changed only if it has the ``expected_version``. With ``replace``, it gets the models
    that the team has, even if it lacks some of the workflow.
    """

    document: bytes
    name: str
    installs: Sequence[Install]
    expected_version: int | None
    replace: bool


async def push_workflow(registry: RegistryApi, pusher: Pusher, workflow: WorkflowToPush) -> PushedWorkflow:
    """Push the required files that the team lacks and this machine has, and make all its models a collection.

    A collection of this name gets its models as the next version, if the request expects it. A file that cannot be
    pushed is named in the result.

    Raises:
        Problem, TransferFailed: the registry refused the workflow or the collection, or did not answer.
        LocalProblem: the team has no model of the workflow, or a collection of this name exists and is not expected,
            or the team has not all models for it.
    """
    if workflow.expected_version is None:
        await _check_name(registry, workflow.name)
    before = await registry.check_workflow(workflow.document)
    if not any(each.is_required for each in before.reference_list):
        raise _build_no_models("The workflow requires no model.")
    absent = _list_absent_files(before)
    results = [await _push_file(pusher, file, workflow.installs) for file in absent]
    pushed = [file.path for file, failed in zip(absent, results, strict=True) if failed is None]

    check = await registry.check_workflow(workflow.document) if pushed else before
    required = collect_required_models([each for each in check.reference_list if each.is_required])
    failed = [result for result in results if result is not None]
    lacking = _describe_lacking(required.missing, failed)
    if not required.models:
        raise _build_no_models(f"Your team has no model that the workflow requires. {lacking}")
    collection = await _save_collection(registry, workflow, required, lacking)
    return PushedWorkflow(
        collection_id=collection.id,
        collection_name=collection.name,
        version=collection.version,
        model_count=len(collection.model_list),
        pushed_list=pushed,
        missing_list=required.missing,
        failed_list=failed,
        other_content_list=required.other_content,
    )


def _list_absent_files(check: WorkflowCheck) -> list[FilePush]:
    """Return the required files that the team lacks, each once, of which the folder is known. Pure."""
    absent = [
        FilePush.model_construct(folder=each.folder, path=each.name.replace("\\", "/"))
        for each in check.reference_list
        if each.is_required and not is_loadable(each) and each.folder is not None
    ]
    return list({(file.folder, file.path): file for file in absent}.values())


async def _push_file(pusher: Pusher, file: FilePush, installs: Sequence[Install]) -> FailedFile | None:
    """Push one file; return why that failed, or None.

    Raises:
        Problem, TransferFailed: the failure concerns all files.
    """
    try:
        request = await asyncio.to_thread(build_push_request, file, installs)
        await pusher.push(request)
    except _ENDING:
        raise
    except (LocalProblem, Problem, TransferFailed, VersionNotCurrent, OSError) as failure:
        return FailedFile(path=file.path, problem=str(failure))
    return None


async def _check_name(registry: RegistryApi, name: str) -> None:
    """Check that the team has no collection of this name.

    Raises:
        LocalProblem: it has one, which the problem names with its version.
    """
    existing = await find_collection_named(registry, name)
    if existing is not None:
        raise _build_exists(existing)


async def _save_collection(
    registry: RegistryApi, workflow: WorkflowToPush, required: WorkflowModels, lacking: str
) -> Collection:
    """Create a collection with the models, or make them the next version of the one that has this name.

    Raises:
        LocalProblem: there is one, and it is not expected, or models that the team lacks are not to be left out.
        VersionConflict: its newest version is not the expected one, and has other models.
    """
    models = merge_entries([], required.models)
    try:
        created = await registry.create_collection(NewCollection(name=workflow.name, model_list=models))
        return await registry.get_collection(created.id)
    except CollectionNameTaken as taken:
        if workflow.expected_version is None:
            await _check_name(registry, workflow.name)
        if required.missing and not workflow.replace:
            raise _build_incomplete(workflow.name, lacking) from None
        existing_id = UUID(taken.facts["collection_id"])
    next_version = NewCollectionVersion(model_list=models, expected_version=workflow.expected_version)
    await registry.add_collection_version(existing_id, next_version)
    return await registry.get_collection(existing_id)


def _describe_lacking(missing: Sequence[str], failed: Sequence[FailedFile]) -> str:
    """Return sentences that name the models that the team lacks, and why they could not be pushed. Pure."""
    names = ", ".join(quoted(name) for name in missing[:_MAX_NAMED])
    more = f" and {len(missing) - _MAX_NAMED} more" if len(missing) > _MAX_NAMED else ""
    problems = [f"{quoted(file.path)}: {file.problem}" for file in failed[:_MAX_NAMED]]
    return " ".join([f"It lacks {names}{more}.", *problems])


def _build_no_models(text: str) -> LocalProblem:
    """Build the problem of a workflow that would make an empty collection."""
    title = "The workflow has no models for a collection"
    return LocalProblem(HTTPStatus.UNPROCESSABLE_ENTITY, "workflow-without-models", title, text)


def _build_exists(existing: CollectionSummary) -> LocalProblem:
    """Build the problem of a name that a collection has already, with what a confirmation needs."""
    return LocalProblem(
        HTTPStatus.CONFLICT,
        "collection-exists",
        "A collection has this name",
        f"Your team has a collection {quoted(existing.name)} already, with {counted(existing.model_count, 'model')} in "
        f"version {existing.version}. Use another name, or replace its models with those of the workflow.",
        collection_id=str(existing.id),
        collection_name=existing.name,
        version=existing.version,
        model_count=existing.model_count,
        errors=[{"field": "name", "message": "Another collection has this name"}],
    )


def _build_incomplete(name: str, lacking: str) -> LocalProblem:
    """Build the problem of a collection whose next version would leave models of the workflow out."""
    title = "The team lacks models of the workflow"
    text = f"The collection {quoted(name)} was not changed, since your team does not have all models of the workflow."
    return LocalProblem(HTTPStatus.CONFLICT, "collection-incomplete", title, f"{text} {lacking}")
