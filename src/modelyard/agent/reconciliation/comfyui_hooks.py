"""Checks with a running ComfyUI before a sync changes files, and notifications and checks afterwards."""

from dataclasses import replace
from pathlib import Path, PurePath

from modelyard.agent.roots import FoundRoots
from modelyard.comfyui.http_api import ComfyUI
from modelyard.comfyui.layout import Install
from modelyard.comfyui.load_check import LoadCheck
from modelyard.comfyui.quoting import quoted
from modelyard.sync.apply.replica_states import ReplicaState
from modelyard.sync.desired import DesiredModel, DesiredState
from modelyard.sync.planning.actions import Remove, Replace

BUSY = "ComfyUI is too busy to list its queue; the file is changed when it answers."

# What identifies a replacement: the path, and the hashes of the old and the new content.
_ReplacementKey = tuple[Path, str, str]


class QueueBlocker:
    """Why prompts in the queues of running ComfyUIs block actions.

    A removal waits until no prompt uses the file, since later ones would fail too. A replacement waits only for the
    prompts that were in a queue when it was looked at first: later ones may use the new content, or a queue that never
    empties would keep the old one. Threads may share an object.
    """

    def __init__(self) -> None:
        self._waited_for: dict[_ReplacementKey, frozenset[str]] = {}  # ids of prompts

    def find_reason(self, roots: FoundRoots, action: Remove | Replace) -> str | None:
        """Return why the action has to wait, as a sentence; None if it may run now. Blocking: asks each ComfyUI.

        A replacement waits only for prompts that were queued when it was first asked for; these are remembered until
        ``forget``.
        """
        prompts: set[str] = set()
        for comfyui, install in roots.running:
            found = _find_prompts_using(comfyui, install, action)
            if found is None:
                return BUSY
            prompts |= found
        if isinstance(action, Replace):
            prompts &= self._waited_for.setdefault(_get_key(action), frozenset(prompts))
        if not prompts:
            return None
        what = "replaced" if isinstance(action, Replace) else "removed"
        name = quoted(action.target.path.name)
        return f"A prompt in ComfyUI's queue uses {name}; the file is {what} when that prompt is done."

    def forget(self, replacement: Replace) -> None:
        """Forget the prompts for which a replacement has waited, because it is done."""
        self._waited_for.pop(_get_key(replacement), None)


def _get_key(replacement: Replace) -> _ReplacementKey:
    """Return what identifies a replacement in later plans."""
    return replacement.target.path, replacement.old_placement.sha256, replacement.desired.sha256


def _find_prompts_using(comfyui: ComfyUI, install: Install, action: Remove | Replace) -> frozenset[str] | None:
    """Return the ids of running and queued prompts that use a file; None if this ComfyUI does not list its queue.

    Empty for a file outside the install's roots. Blocking.
    """
    path = action.target.path
    names = {path.relative_to(root) for each in install.roots if path.is_relative_to(root := each.path.resolve())}
    if not names:
        return frozenset()
    prompts = comfyui.list_queued_texts()
    if prompts is None:
        return None
    return frozenset(
        prompt for prompt, texts in prompts.items() if any(_is_named_in(text, name) for text in texts for name in names)
    )


def _is_named_in(text: str, name: PurePath) -> bool:
    """Return whether a prompt's input is this name or begins with this folder, or uses its embedding or LoRA.

    In a text, a longer name that begins with this one matches too.
    """
    stem = name.with_suffix("").as_posix()
    text = text.replace("\\", "/")
    is_named = text == name.as_posix() or text.startswith(f"{name.as_posix()}/")
    return is_named or any(f"{call}{stem}" in text for call in ("embedding:", "<lora:"))


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
