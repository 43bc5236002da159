"""API schemas of roll-outs: a version of a collection goes to some subscribed machines first, then to all."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StrictBool

from modelyard.wire.models import Label
from modelyard.wire.schemas import EXAMPLE_ID, EXAMPLE_PAGE, EXAMPLE_TIME, PageMeta, Schema
from modelyard.wire.versions import Creator, VersionNumber

RolloutState = Literal[
    "canary", "waiting_for_approval", "rolling_out", "finished", "failed", "stopped", "rolled_back", "replaced"
]
# In these states, the registry goes on by itself or once it is approved.
RUNNING_ROLLOUT_STATES: tuple[RolloutState, ...] = ("canary", "waiting_for_approval", "rolling_out")
# In these, some machines have the version, and the others keep the one before until the roll-out is rolled back.
ENDED_EARLY_STATES: tuple[RolloutState, ...] = ("failed", "stopped")
# Why no canary can get ready: all are offline, or no subscribed machine has the label any more.
RolloutObstacle = Literal["canaries_offline", "canaries_gone"]
RolloutAction = Literal["stop", "roll-back"]
RolloutMachineState = Literal["ready", "waiting", "failed", "offline", "held"]
MAX_READY_SECONDS = 86_400
# A collection keeps the record of so many roll-outs; the audit log has all of them.
MAX_ROLLOUTS = 100
MAX_ROLLOUT_MACHINES = 200

_EXAMPLE_COUNTS = {"machine_count": 12, "ready": 10, "waiting": 1, "failed": 0, "offline": 1, "held": 0}
_EXAMPLE_CREATOR = {"kind": "user", "id": None, "display_name": "Ada"}


class NewRollout(Schema):
    """A roll-out to start."""

    version: VersionNumber = Field(description="Which version of the collection.", examples=[3])
    canary_label: Label | None = Field(
        default=None,
        description="Subscribed machines with this label, the canaries, get the version first; null or absent: all "
        "subscribed machines get it at once.",
        examples=["canary"],
    )
    is_automatic: StrictBool = Field(
        default=False,
        description="Whether the other machines get it as soon as all canaries are ready; otherwise once it is "
        "approved.",
        examples=[False],
    )
    min_ready_seconds: Annotated[int, Field(strict=True, ge=0, le=MAX_READY_SECONDS)] = Field(
        default=0, description="How long the canaries must be ready before it goes on.", examples=[600]
    )


class RolloutApproval(Schema):
    """How a roll-out is approved."""

    without_canaries: StrictBool = Field(
        default=False,
        description="Whether it goes on although no canary can get ready, since all of them are offline or gone. "
        "Otherwise such an approval is refused. It does not matter if the canaries are ready.",
        examples=[False],
    )


class RolloutCounts(Schema):
    """How many machines are in each state of a roll-out."""

    machine_count: int = Field(description="All of them.", examples=[12])
    ready: int = Field(description="They have all models of the version, and ComfyUI loads them.", examples=[10])
    waiting: int = Field(description="They are getting models, or try again what failed.", examples=[1])
    failed: int = Field(description="A person has to do something there.", examples=[0])
    offline: int = Field(description="They send no heartbeats.", examples=[1])
    held: int = Field(description="They stay at the version before.", examples=[0])


class RolloutMachine(Schema):
    """A machine of a roll-out that is a canary or not ready."""

    agent_id: str = Field(description="The machine.", examples=["render-07"])
    is_canary: bool = Field(description="Whether it gets the version first.", examples=[True])
    state: RolloutMachineState = Field(
        description="`ready`: it has all models, and ComfyUI loads them. `waiting`: it is getting them, tries again "
        "what failed, or is paused. `failed`: it has a problem, or a model conflicts, is blocked for a minute, or is "
        "not loaded by ComfyUI. `offline`: neither. "
        "`held`: it stays at the version before.",
        examples=["failed"],
    )
    models_ready: int = Field(description="How many models of the version are ready there.", examples=[11])
    models_total: int = Field(description="How many it should hold.", examples=[12])
    model_path: str | None = Field(
        description="A model that is not as it should be; null if the reason is of the machine, or there is none.",
        examples=["loras/ink.sft"],
    )
    reason: str | None = Field(
        description="What the machine says about that model, or why it gets none now.",
        examples=["ComfyUI does not list 'ink.sft'."],
    )


class RolloutProgress(Schema):
    """The machines of a roll-out at the time of the request."""

    canaries: RolloutCounts = Field(description="The machines that get the version first.", examples=[_EXAMPLE_COUNTS])
    others: RolloutCounts = Field(description="All other subscribed machines.", examples=[_EXAMPLE_COUNTS])
    machine_list: list[RolloutMachine] = Field(
        description=f"The canaries, and the others that are neither ready nor held; at most {MAX_ROLLOUT_MACHINES}.",
        examples=[[]],
    )


class RolloutSummary(Schema):
    """A roll-out without its machines."""

    id: UUID = Field(description="Its id (UUIDv7).", examples=[EXAMPLE_ID])
    collection_id: UUID = Field(description="The collection.", examples=[EXAMPLE_ID])
    version: int = Field(description="Which version of the collection.", examples=[3])
    previous_version: int = Field(description="The version that a roll-back restores.", examples=[2])
    canary_label: str | None = Field(
        description="Machines with this label get the version first; null: all at once.", examples=["canary"]
    )
    is_automatic: bool = Field(description="Whether it goes on without an approval.", examples=[False])
    min_ready_seconds: int = Field(description="How long the canaries must be ready.", examples=[600])
    state: RolloutState = Field(
        description="`canary`: machines with the label get the version. `waiting_for_approval`: they are ready, or "
        "offline. `rolling_out`: all subscribed machines get it. `finished`: all have it. `failed`: a canary failed, "
        "see `reason`. `stopped`: a person stopped it. `rolled_back`: all got the version before. `replaced`: another "
        "roll-out was started after it had failed or was stopped.",
        examples=["waiting_for_approval"],
    )
    reason: str | None = Field(
        description="Why it failed: the machine, the model, and what the machine says; or why no canary can get ready, "
        "and what to do.",
        examples=[None],
    )
    obstacle: RolloutObstacle | None = Field(
        description="Why no canary can get ready: `canaries_offline`: all of them are offline. `canaries_gone`: no "
        "subscribed machine has the label any more. Null: one can, or it does not wait for them.",
        examples=[None],
    )
    created_by: Creator = Field(description="Who started it.", examples=[_EXAMPLE_CREATOR])
    created_at: datetime = Field(description="When it was started.", examples=[EXAMPLE_TIME])
    updated_at: datetime = Field(description="When its state last changed.", examples=[EXAMPLE_TIME])


class Rollout(RolloutSummary):
    """A roll-out with the state of its machines."""

    progress: RolloutProgress | None = Field(
        description="Its machines now; null once it finished, was rolled back or replaced.", examples=[None]
    )


class RolloutList(Schema):
    """A page of a collection's roll-outs."""

    rollout_list: list[RolloutSummary] = Field(description="Newest first.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[EXAMPLE_PAGE])
