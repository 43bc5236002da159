"""Importing models from links: look them up, confirm drafts, wait until they are verified, find newer versions."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

from modelyard.client.api.batched_calls import BatchedCalls
from modelyard.client.api.models import list_all_models
from modelyard.client.api.registry import RegistryApi
from modelyard.client.names import build_name_fields
from modelyard.client.resolve_models import find_model
from modelyard.client.waiting.polling import generate_pauses
from modelyard.wire import problems
from modelyard.wire.imports.drafts import ImportDraft, ImportLink, SourceFile, SourceHashes
from modelyard.wire.imports.jobs import ModelImport, NewImport
from modelyard.wire.imports.source_checks import SourceCheckRun
from modelyard.wire.model_details import Sidecar
from modelyard.wire.models import Model, NewerAtSource
from modelyard.wire.problems.base import Problem
from modelyard.wire.schemas import Schema

_FIRST_POLL_SECONDS, _MAX_POLL_SECONDS = 0.2, 2.0
# How often a busy registry is asked for one model, and the longest pause between two of these checks.
_CHECK_TRIES, _MAX_CHECK_PAUSE = 3, 30.0


@dataclass(frozen=True)
class DraftChanges:
    """What a person changes in a draft; None keeps what the source says. A ``model_path`` is complete."""

    model_type: str | None = None
    model_path: str | None = None
    display_name: str | None = None


@dataclass(frozen=True)
class EndedImport:
    """An import that has ended, and the record of its model; None if it failed or was cancelled."""

    record: ModelImport
    model: Model | None

    @property
    def error(self) -> str | None:
        """Why there is no verified model; None if there is one."""
        if self.model is None:
            return self.record.error or "It was cancelled."
        return None if self.model.verification == "verified" else self.model.verification_error

    def to_json(self) -> dict[str, Any]:
        """Return the record of the import, and how far the verification of its model is."""
        model = self.model
        state = {name: getattr(model, name, None) for name in ("verification", "verification_error")}
        return self.record.model_dump(mode="json") | state

    @property
    def is_waiting(self) -> bool:
        """Whether the model is there, and the registry has to verify it again later."""
        return self.model is not None and self.model.verification == "pending"


@dataclass(frozen=True)
class RefusedImport:
    """An import that the registry has refused, such as for a path that is taken, or because of the quota."""

    model_path: str
    problem: Problem

    @property
    def error(self) -> str:
        """Why there is no model."""
        return self.problem.detail


async def resolve_links(registry: RegistryApi, urls: Sequence[str]) -> list[ImportDraft]:
    """Look up links one after the other, and return their drafts in the same order."""
    return [await registry.resolve_link(ImportLink(url=url)) for url in urls]


def confirm_draft(draft: ImportDraft, changes: DraftChanges, replaces: Model | None = None) -> NewImport:
    """Return the import of a draft with a person's changes, as a new model or the next version of ``replaces``."""
    model_type = changes.model_type or draft.model_type
    if changes.model_path is not None:
        model_type = changes.model_type or PurePosixPath(changes.model_path.removeprefix("models/")).parts[0]
    return NewImport(
        url=draft.url,
        file_size=draft.size,
        file_hash=draft.hashes.sha256,
        **build_name_fields(changes.display_name, draft.display_name if replaces is None else replaces.display_name),
        model_type=model_type,
        model_path=changes.model_path or f"{model_type}/{draft.file_name}",
        source_url=draft.source.page_url,
        sidecar=Sidecar(base_model=draft.base_model, trigger_words=draft.trigger_words, license=draft.license),
        **({} if replaces is None else {"replaces": replaces.id}),
    )


def choose_files(draft: ImportDraft, patterns: Sequence[str]) -> list[ImportDraft]:
    """Return a draft for each file of a draft's repository or version whose name matches one of the patterns.

    A pattern has ``*``, ``?`` and ``[…]`` as in a shell, of which ``*`` also matches slashes. Each draft has what the
    source says about all files.

    Raises:
        ValueError: no file matches, or the draft does not list all files.
    """
    if not draft.is_complete:
        raise ValueError(
            f"Not all files of {draft.source.name} are listed for this link. With --include, use the link of a folder, "
            "such as https://huggingface.co/studio/ink/tree/main/vae."
        )
    chosen = [file for file in draft.file_list if any(fnmatchcase(file.name, pattern) for pattern in patterns)]
    if not chosen:
        raise ValueError(f"No model file of {draft.source.name} matches. Its files: {_list_names(draft)}.")
    return [_choose_file(draft, file) for file in chosen]


def check_paths(imports: Sequence[NewImport]) -> None:
    """Check that no two files would be at the same path; raises ``ValueError``. Machines may ignore the case of names.

    Repeated imports of one link to one path are one import.
    """
    links = dict[str, set[str]]()
    for new in imports:
        links.setdefault(new.model_path.removeprefix("models/").casefold(), set()).add(new.url)
    twice = next((path for path, urls in links.items() if len(urls) > 1), None)
    if twice is not None:
        raise ValueError(f"Several of these files would be at {twice}. Import them one by one, with --path.")


def _choose_file(draft: ImportDraft, file: SourceFile) -> ImportDraft:
    """Return the draft of another file of the same repository or version."""
    if file.url == draft.url:
        return draft
    page_url = draft.source.page_url
    if draft.source.kind == "huggingface":
        page_url = file.url.replace("/resolve/", "/blob/", 1)
    changes = {
        "url": file.url,
        "source": draft.source.model_copy(update={"page_url": page_url}),
        "file_name": file.file_name,
        "size": file.size,
        "hashes": SourceHashes(sha256=file.sha256),
        "display_name": PurePosixPath(file.file_name).stem,
        "model_type": file.model_type,
        "model_path": f"{file.model_type}/{file.file_name}",
    }
    return draft.model_copy(update=changes)


def _list_names(draft: ImportDraft) -> str:
    """Return the names of a draft's files for a message, cut after ten."""
    names = [file.name for file in draft.file_list]
    return ", ".join(names[:10]) + (" …" if len(names) > 10 else "")


def confirm_next_version(draft: ImportDraft, model: Model, display_name: str | None = None) -> NewImport:
    """Return the import of a draft as the next version of a model, which keeps its path, and its name without one."""
    return confirm_draft(draft, DraftChanges(model.model_type, model.model_path, display_name), replaces=model)


async def wait_for_import(
    registry: RegistryApi, import_id: UUID, on_poll: Callable[[ModelImport], None]
) -> EndedImport:
    """Wait until the model of an import is verified, or it has failed; ``on_poll`` gets its state meanwhile."""
    pauses = generate_pauses(_FIRST_POLL_SECONDS, _MAX_POLL_SECONDS)
    while (record := await registry.get_import(import_id)).import_state in ("queued", "running"):
        on_poll(record)
        await asyncio.sleep(next(pauses))
    on_poll(record)
    if record.model_id is None:
        return EndedImport(record, None)
    model = await registry.get_model(record.model_id)
    pauses = generate_pauses(_FIRST_POLL_SECONDS, _MAX_POLL_SECONDS)
    while model.verification == "pending" and not model.verification_error:
        await asyncio.sleep(next(pauses))
        model = await registry.get_model(record.model_id)
    return EndedImport(record, model)


async def run_imports(
    registry: RegistryApi,
    imports: Sequence[NewImport],
    build_reporter: Callable[[], Callable[[ModelImport], None]],
    on_followed: Callable[[NewImport, str], None],
) -> list[EndedImport | RefusedImport]:
    """Start imports with as few requests as possible; return them, in their order, when each has ended or is refused.

    A refusal does not stop the others. The registry continues without this program. An import that is tried again
    later is waited for. ``build_reporter`` is called for each import; what it returns gets its state meanwhile.
    ``on_followed`` gets the import and the person whose equal import runs already, and is waited for instead.
    """
    calls = BatchedCalls(registry)

    async def run(new: NewImport) -> EndedImport | RefusedImport:
        """Start an import, or follow one that runs already, and wait until it has ended; return a refusal.

        It has ended when its model is verified, or when it has failed.
        """
        try:
            import_id = await _start_or_follow(calls, new, on_followed)
            return await wait_for_import(registry, import_id, build_reporter())
        except Problem as problem:
            return RefusedImport(new.model_path, problem)

    return list(await asyncio.gather(*(run(new) for new in imports)))


async def _start_or_follow(calls: BatchedCalls, new: NewImport, on_followed: Callable[[NewImport, str], None]) -> UUID:
    """Start an import and return its id, or that of another person's running import that differs in nothing else.

    Raises:
        Problem: the registry refused the import, or the running one differs in other fields too.
    """
    try:
        return (await calls.start_import(new)).id
    except problems.ImportRunning as running:
        if running.facts.get("other_fields") != []:
            raise
        on_followed(new, running.facts["created_by"])
        return UUID(running.facts["import_id"])


class CheckedModel(Schema):
    """A model, and the newer version at its source; ``error`` says why its source could not be asked."""

    model_id: UUID
    model_path: str
    newer_at_source: NewerAtSource | None = None
    error: str | None = None


async def list_outdated(registry: RegistryApi, names: Sequence[str]) -> list[CheckedModel]:
    """Return the named models, or all that have a source, with the newer version there that the last check found."""
    return [_build_checked(model, model.newer_at_source) for model in await _find_models(registry, names)]


async def check_outdated(
    registry: RegistryApi, names: Sequence[str], on_checked: Callable[[CheckedModel], None]
) -> list[CheckedModel]:
    """Ask the sources of the named models, one after the other; return what they have.

    ``on_checked`` gets each result at once. A source that fails, or a registry that is busy, does not stop the others.
    """
    found = list[CheckedModel]()
    for model in await _find_models(registry, names):
        checked = await _check(registry, model)
        on_checked(checked)
        found.append(checked)
    return found


async def check_all_sources(registry: RegistryApi, on_poll: Callable[[SourceCheckRun], None]) -> SourceCheckRun:
    """Let the registry ask the sources of all models, and wait until it has; ``on_poll`` gets its state meanwhile.

    A check that runs already is waited for. The registry continues without this program.
    """
    run = await registry.start_source_checks()
    pauses = generate_pauses(_FIRST_POLL_SECONDS, _MAX_POLL_SECONDS)
    while run.check_state == "running":
        on_poll(run)
        await asyncio.sleep(next(pauses))
        run = (await registry.read_source_checks()).source_check_run or run
    return run


async def _find_models(registry: RegistryApi, names: Sequence[str]) -> list[Model]:
    """Return the named models, or all that name a source."""
    if names:
        return [await find_model(registry, name) for name in names]
    return [model async for model in list_all_models(registry) if model.source_url]


async def _check(registry: RegistryApi, model: Model) -> CheckedModel:
    """Ask the source of a model."""
    try:
        return _build_checked(model, await _ask_source(registry, model.id))
    except problems.LinkRefused as refused:
        return _build_checked(model, None, refused.detail)
    except (
        problems.ModelNotFound,
        problems.SourceNotFound,
        problems.SourceRestricted,
        problems.SourceUnavailable,
        problems.Unavailable,
    ) as problem:
        return _build_checked(model, model.newer_at_source, problem.detail)


async def _ask_source(registry: RegistryApi, model_id: UUID) -> NewerAtSource | None:
    """Return what the source of a model has that is newer; a registry that is busy for a short time is asked again."""
    for _ in range(_CHECK_TRIES - 1):
        try:
            return (await registry.check_source(model_id)).newer_at_source
        except problems.Unavailable as busy:
            pause = float(busy.facts.get("retry_after", 1))
            if pause > _MAX_CHECK_PAUSE:
                raise
            await asyncio.sleep(pause)
    return (await registry.check_source(model_id)).newer_at_source


def _build_checked(model: Model, newer: NewerAtSource | None, error: str | None = None) -> CheckedModel:
    """Build the result of a model."""
    return CheckedModel(model_id=model.id, model_path=model.model_path, newer_at_source=newer, error=error)
