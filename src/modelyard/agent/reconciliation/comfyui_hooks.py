"""Checks with a running ComfyUI before a sync changes files, and notifications and checks afterwards."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePath

from modelyard.agent.roots import FoundRoots
from modelyard.comfyui.http_api import ComfyUI, LoadCheck
from modelyard.comfyui.layout import Install
from modelyard.comfyui.quoting import quoted
from modelyard.sync.apply.replica_states import ReplicaState
from modelyard.sync.desired import DesiredModel, DesiredState
from modelyard.sync.planning.actions import Remove, Replace

RENDERING = "ComfyUI works on its queue; the file is replaced when the queue is empty."


def make_comfyui_blocker(roots: FoundRoots) -> Callable[[Remove | Replace], str | None]:
    """Return a function (blocking) that returns why ComfyUI's queue blocks an action, or None if it does not.

    A replacement waits until no ComfyUI renders, a removal until no queued prompt uses the file.
    """

    def find_blocker(action: Remove | Replace) -> str | None:
        """Return why the action has to wait, as a sentence; None if it may run now. Blocking: asks ComfyUI."""
        if isinstance(action, Replace):
            return RENDERING if any(comfyui.is_rendering() for comfyui, _ in roots.running) else None
        reasons = (_find_removal_blocker(comfyui, install, action) for comfyui, install in roots.running)
        return next((reason for reason in reasons if reason is not None), None)

    return find_blocker


def _find_removal_blocker(comfyui: ComfyUI, install: Install, removal: Remove) -> str | None:
    """Return why a file cannot be removed yet, or None.

    A prompt that runs or is queued names it and would fail, or this ComfyUI does not list its queue. Files outside the
    install's roots are not blocked. Blocking.
    """
    path = removal.target.path
    names = {path.relative_to(root) for each in install.roots if path.is_relative_to(root := each.path.resolve())}
    if not names:
        return None
    texts = comfyui.list_queued_texts()
    if texts is None:
        return "ComfyUI is too busy to list its queue; the file is removed when it answers."
    if any(_is_named_in(text, name) for text in texts for name in names):
        return f"A prompt in ComfyUI's queue uses {quoted(path.name)}; the file is removed when that prompt is done."
    return None


def _is_named_in(text: str, name: PurePath) -> bool:
    """Return whether a prompt's input is this name, or a text that uses an embedding or a LoRA of this name.

    In a text, a longer name that begins with this one matches too.
    """
    stem = name.with_suffix("").as_posix()
    text = text.replace("\\", "/")
    return text == name.as_posix() or any(f"{call}{stem}" in text for call in ("embedding:", "<lora:"))


def free_comfyui_memory(roots: FoundRoots) -> None:
    """Make each running ComfyUI unload its models, since it would use the old content of a replaced file; blocking."""
    for comfyui, _ in roots.running:
        comfyui.unload_models()


def add_load_problems(
    roots: FoundRoots, desired: DesiredState, replica_states: tuple[ReplicaState, ...]
) -> tuple[ReplicaState, ...]:
    """Return the states in their order; for a ready file that a running ComfyUI does not load, ``reason`` says why."""
    checks = [LoadCheck(comfyui, install) for comfyui, install in roots.running]
    if not checks:
        return replica_states
    by_id: dict[object, DesiredModel] = {model.id: model for model in desired.models}

    def add_load_problem(replica_state: ReplicaState) -> ReplicaState:
        """Return the state; for a ready file that a ComfyUI does not load, with the first problem as reason."""
        model = by_id.get(replica_state.model_id)
        if replica_state.state != "ready" or replica_state.path is None or model is None:
            return replica_state
        if model.is_folder:
            # Which nodes list a folder, and under which name, differs; so nothing is known of it.
            return replica_state
        problems = (check.find_problem(model, replica_state.path) for check in checks)
        problem = next((each for each in problems if each is not None), None)
        return replica_state if problem is None else replace(replica_state, reason=problem)

    return tuple(map(add_load_problem, replica_states))
