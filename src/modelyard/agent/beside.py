"""What a ComfyUI beside a sync is asked before files change, and told and asked afterwards."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from modelyard.agent.comfyui import Witness
from modelyard.agent.library import Library
from modelyard.client.sync.acting.standing import Standing
from modelyard.client.sync.planning.actions import Plan
from modelyard.client.sync.wanted import Wanted, WantedList

RENDERING = "ComfyUI works on its queue; the file is replaced when the queue is empty."


def why_busy(library: Library) -> Callable[[Path], str | None]:
    """What says why a file may not be replaced now, or None; blocking."""

    def why(_: Path) -> str | None:
        return RENDERING if any(comfyui.is_rendering() for comfyui, _ in library.running) else None

    return why


def let_go(library: Library, standings: Sequence[Standing], plan: Plan) -> None:
    """After a replacement, a running ComfyUI would go on with the old bytes that it has in memory."""
    replaced = {action.target.path for action in plan.replace}
    if any(standing.path in replaced and standing.state == "ready" for standing in standings):
        for comfyui, _ in library.running:
            comfyui.free()


def proven(library: Library, wanted: WantedList, standings: tuple[Standing, ...]) -> tuple[Standing, ...]:
    """The standings, with what a running ComfyUI has against a file that is here."""
    witnesses = [Witness(comfyui, install) for comfyui, install in library.running]
    if not witnesses:
        return standings
    by_id: dict[object, Wanted] = {model.id: model for model in wanted.models}

    def seen(standing: Standing) -> Standing:
        model = by_id.get(standing.model_id)
        if standing.state != "ready" or standing.path is None or model is None:
            return standing
        objections = (witness.objection(model, standing.path) for witness in witnesses)
        objection = next((each for each in objections if each is not None), None)
        return standing if objection is None else replace(standing, reason=objection)

    return tuple(map(seen, standings))
