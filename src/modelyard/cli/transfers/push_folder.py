"""``push --as-folder``: upload a folder and register it as one model."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import typer

from modelyard.cli.terminal.formatting import escape_unprintable
from modelyard.cli.terminal.new_types import confirm_new_types
from modelyard.cli.transfers.push_output import (
    build_document,
    build_question,
    get_exit_code,
    get_next_version,
    print_result,
)
from modelyard.wire.model_folders import DIFFUSERS_FOLDER

if TYPE_CHECKING:
    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.cli.transfers.options import PushSettings
    from modelyard.client.api.registry import RegistryApi
    from modelyard.client.transfers.collect import PushRequest
    from modelyard.client.transfers.folders.contents import FolderContents, FolderRequest
    from modelyard.client.transfers.push_results import PushResult

# Files that are left out; more are only counted.
_MAX_NAMES = 5


def run_folder_push(terminal: Terminal, push: PushRequest, settings: PushSettings) -> int:
    """Push a folder as one model, print the result or what a push would do, and return the exit code.

    On a terminal, asks whether it becomes the next version if a folder with other content is at its path.
    """
    from modelyard.client.transfers.folders.contents import build_folder_request

    request = build_folder_request(push)
    _note_left_out(terminal, request.contents)
    is_accepted = settings.accepts_new_types or push.model_type == DIFFUSERS_FOLDER
    confirm_new_types(terminal, [push.model_type], is_accepted=is_accepted, is_dry_run=settings.dry_run)
    if settings.dry_run:
        from modelyard.cli.transfers.push_plan import print_folder_plan

        return print_folder_plan(terminal, request)
    result = _push(terminal, request, settings)
    can_replace = get_next_version(result) is not None and terminal.can_ask
    if can_replace and typer.confirm(build_question(terminal, result), err=True):
        replacing = dataclasses.replace(push, replace=True)
        result = _push(terminal, dataclasses.replace(request, push=replacing), settings)
    print_result(terminal, result)
    if terminal.output.style == "json":
        left_out = [dataclasses.asdict(each) for each in request.contents.left_out]
        terminal.output.answer(document={"files": [build_document(result) | {"left_out": left_out}]}, lines=[])
    return get_exit_code(result)


def _note_left_out(terminal: Terminal, contents: FolderContents) -> None:
    """Print which files of the folder are not pushed."""
    shown = [f"{escape_unprintable(each.path)} ({each.reason})" for each in contents.left_out[:_MAX_NAMES]]
    more = len(contents.left_out) - len(shown)
    if shown:
        terminal.output.note(f"Left out: {', '.join(shown)}{f' and {more} more' if more else ''}.")


def _push(terminal: Terminal, request: FolderRequest, settings: PushSettings) -> PushResult:
    """Push a folder with a progress display, and return its result."""
    from modelyard.cli.terminal.progress import show_progress
    from modelyard.client.transfers.folders.push import push_folder
    from modelyard.client.transfers.push import PushOptions
    from modelyard.client.transfers.push_results import PushFailed
    from modelyard.transfer.errors import TransferFailed
    from modelyard.wire.problems import Problem, SessionEnded, Unauthenticated

    folder = request.contents.folder
    options = PushOptions(settings.wait, sidecars=False, network=settings.network, jobs=settings.jobs)

    async def push(registry: RegistryApi) -> PushResult:
        """Push the folder; its own failure becomes a result."""
        with show_progress(terminal.output) as view:
            view.expect({folder: request.contents.total_size})
            try:
                return await push_folder(registry, terminal.settings, request, view.show, options)
            except (Unauthenticated, SessionEnded):
                raise
            except (Problem, TransferFailed, ValueError, OSError) as failure:
                return PushFailed(folder, failure)
            finally:
                view.remove(folder)

    return terminal.call_registry(push, retry_until_give_up=True)
