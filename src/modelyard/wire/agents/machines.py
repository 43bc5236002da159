"""API schemas of machines: their last reported state, and what the team sets for them."""

from datetime import datetime

from pydantic import ConfigDict, Field

from modelyard.wire.agents.values import (
    EXAMPLE_AGENT,
    UNHEALTHY_SECONDS,
    AgentStatus,
    DiskBudget,
    MachineState,
    RemovalToken,
)
from modelyard.wire.models import Labels
from modelyard.wire.schemas import EXAMPLE_PAGE, EXAMPLE_TIME, Done, PageMeta, PartialUpdate, Schema


class Agent(Schema):
    """A machine with its last reported state."""

    agent_id: str = Field(description="The machine's name, which its agent chooses.", examples=[EXAMPLE_AGENT])
    agent_status: AgentStatus = Field(
        description=f"`unhealthy`: no heartbeat for {UNHEALTHY_SECONDS} seconds.", examples=["idle"]
    )
    machine_state: MachineState = Field(
        description="Sums up what the machine reports. `up_to_date`: it holds every model that it should; `syncing`: "
        "it downloads, verifies or places models; `waiting`: it will go on by itself, or once it is resumed; "
        "`problem`: a person has to do something, or an attempt failed, which is repeated; `offline`: its agent was "
        f"stopped, has sent no heartbeat for {UNHEALTHY_SECONDS} seconds, or has a key that the registry refuses.",
        examples=["syncing"],
    )
    state_reason: str | None = Field(
        description="The reason for `machine_state`, and what to do; null if it is up to date.",
        examples=["Downloading ink.safetensors"],
    )
    stopped_at: datetime | None = Field(
        description="When its agent reported that it was being stopped; null while it runs, and after a crash.",
        examples=[None],
    )
    agent_labels: list[str] = Field(description="The machine's own labels and the central ones.", examples=[["gpu24"]])
    ignored_labels: list[str] = Field(
        default_factory=list,
        description="Own labels that do not count for subscriptions and roll-outs of collections, since the machine's "
        "key belongs to a viewer.",
        examples=[[]],
    )
    central_labels: list[str] = Field(description="The labels that the team set in the registry.", examples=[["night"]])
    last_heartbeat: datetime = Field(description="Time of the last heartbeat.", examples=[EXAMPLE_TIME])
    connected_at: datetime = Field(description="Time of the first heartbeat.", examples=[EXAMPLE_TIME])
    agent_version: str = Field(description="The version of modelyard on the machine.", examples=["0.2.0"])
    agent_build: str | None = Field(
        default=None,
        description="The commit that this version was built from; null if it is unknown.",
        examples=["1f2e3d4c5b6a"],
    )
    comfyui_version: str | None = Field(description="The version of ComfyUI, if known.", examples=["0.3.64"])
    platform_arch: str = Field(description="Operating system and processor architecture.", examples=["linux-x86_64"])
    tool: str = Field(default="comfyui", description="Always `comfyui`.", examples=["comfyui"])
    sync_phase: str = Field(description="The current phase of reconciliation.", examples=["downloading"])
    sync_detail: str | None = Field(description="Details of the phase.", examples=["ink.safetensors"])
    sync_percent: int | None = Field(description="Progress of the phase in percent.", examples=[40])
    sync_bytes_done: int | None = Field(
        description="Bytes that are done of what is being synced; null unless the machine is syncing.",
        examples=[12_400_000_000],
    )
    sync_bytes_total: int | None = Field(
        description="Bytes of everything that is being synced; null like that.", examples=[31_000_000_000]
    )
    sync_seconds_left: int | None = Field(
        description="Seconds until all of it is done; null if unknown.", examples=[240]
    )
    paused: bool = Field(description="Whether downloads and removals are paused.", examples=[False])
    disk_free: int | None = Field(description="Free bytes on the disk with the models.", examples=[10**12])
    disk_budget: int | None = Field(
        description="Bytes that models may use, if limited: what the machine reports of its own setting and of "
        "`disk_budget_bytes`, the smaller.",
        examples=[None],
    )
    disk_budget_bytes: int | None = Field(
        description="Bytes that models may use, as the team set it; null without a limit.", examples=[None]
    )
    bytes_held: int = Field(description="Bytes of the registry's models on the machine.", examples=[10**11])
    models_ready: int = Field(description="Number of models that are ready on the machine.", examples=[12])
    models_unloaded: int = Field(
        description="How many of these its ComfyUI does not load; their states have the reason.", examples=[0]
    )
    models_desired: int = Field(description="Number of models that the machine should have.", examples=[14])
    models_evicted: int = Field(
        description="How many of these it does not hold because of its disk budget.", examples=[0]
    )
    waiting_for: str | None = Field(
        description="What the machine is waiting for.", examples=["Downloads start at 22:00."]
    )
    removal_waiting: int = Field(description="Files whose removal waits for an approval.", examples=[0])
    removal_token: str | None = Field(
        default=None,
        description="Identifies exactly those files: an approval that names it approves no others. Null if none wait.",
        examples=[None],
    )
    use_counted_since: datetime | None = Field(
        description="Since when the machine has counted which models its ComfyUI uses; null if it does not count.",
        examples=[EXAMPLE_TIME],
    )
    key_name: str | None = Field(
        default=None,
        description="The name of the key that the machine used last; null for people below admin.",
        examples=["render-07"],
    )
    key_prefix: str | None = Field(
        default=None, description="The first 11 characters of that key; null like that.", examples=["ak-J3kPq0aZ"]
    )


class AgentList(Schema):
    """A page of machines."""

    agent_list: list[Agent] = Field(description="The machines.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[EXAMPLE_PAGE])


class AssignmentDone(Done):
    """The response to an assignment of a model to a machine."""

    is_new: bool = Field(
        description="Whether this request assigned it; false if it was assigned already.", examples=[True]
    )


class AgentUpdate(PartialUpdate):
    """Changes to a machine; absent fields are unchanged, null clears the labels and the budget."""

    agent_labels: Labels | None = Field(default=None, description="The central labels.", examples=[["night"]])
    paused: bool = Field(default=False, strict=True, description="Pause downloads and removals.", examples=[True])
    disk_budget_bytes: DiskBudget | None = Field(
        default=None,
        description="Bytes that models may use. The machine evicts the least recently used models that are not "
        "assigned to it.",
        examples=[500_000_000_000],
    )


class RemovalApproval(PartialUpdate):
    """Which held removals of a machine are approved. An unknown field is refused: it may be a misspelt token."""

    model_config = ConfigDict(extra="forbid")

    removal_token: RemovalToken = Field(
        default="",
        exclude_if=lambda token: not token,
        description="The machine's `removal_token` that was shown; if other files wait now, nothing is approved. "
        "Without it, what waits now is approved.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )
