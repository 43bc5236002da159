"""API schemas of agents: manifests, heartbeats, and the states of machines and models."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from modelyard.wire.models import Labels
from modelyard.wire.schemas import (
    EXAMPLE_HASH,
    EXAMPLE_ID,
    EXAMPLE_PAGE,
    EXAMPLE_TIME,
    LINE_PATTERN,
    PageMeta,
    PartialUpdate,
    Schema,
)
from modelyard.wire.versions import VersionNumber

AGENT_ID_PATTERN = r"^[A-Za-z0-9._-]{1,64}$"
# The maximum number of model states in one heartbeat.
MAX_HEARTBEAT_STATES = 1000
# The number of characters of a state's reason that the registry stores.
MAX_REASON_LENGTH = 500
# The maximum number of states in one response about several models on all machines.
MAX_STATES_IN_RESPONSE = 20_000

AgentId = Annotated[str, StringConstraints(strict=True, pattern=AGENT_ID_PATTERN)]
ShortText = Annotated[str, StringConstraints(strict=True, max_length=100, pattern=LINE_PATTERN)]
# Long enough for a sentence with two paths and two hashes.
Sentence = Annotated[str, StringConstraints(strict=True, max_length=2000, pattern=LINE_PATTERN)]
# The digest of a set of files whose removal waits for approval.
RemovalToken = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9a-f]{64}$")]
SeriesName = Annotated[str, StringConstraints(strict=True, max_length=64, pattern=r"^[A-Za-z0-9._-]*$")]
Count = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)]
AgentStatus = Literal["idle", "busy", "syncing", "unhealthy"]
SyncPhase = Literal["idle", "scanning", "planning", "downloading", "verifying", "placing", "waiting"]
ModelState = Literal["queued", "downloading", "verifying", "ready", "conflict", "blocked", "failed"]

EXAMPLE_AGENT = "render-07"


class ManifestEntry(Schema):
    """A model that a machine should hold."""

    id: UUID = Field(description="The model's id.", examples=[EXAMPLE_ID])
    version: int = Field(description="The number of its current version.", examples=[3])
    model_path: str = Field(description="Relative path inside the models directory.", examples=["loras/ink.sft"])
    model_type: str = Field(description="The ComfyUI models sub-directory.", examples=["loras"])
    file_size: int = Field(description="Bytes of the file.", examples=[151_000_000])
    file_hash: str = Field(description="`sha256:` and the hex digest.", examples=[EXAMPLE_HASH])
    blake3_hash: str | None = Field(description="`blake3:` and the hex digest.", examples=["blake3:af13…"])
    updated_at: datetime = Field(description="When the record last changed.", examples=[EXAMPLE_TIME])
    keep: bool = Field(
        description="The registry's copy is damaged: machines that have a good copy keep it, and none downloads it.",
        examples=[False],
    )


class Manifest(Schema):
    """The desired models of a machine.

    A long-polling request ends early with 304 when other instructions are pending: send a heartbeat then.
    """

    revision: int = Field(description="Increases with each change of the team's models.", examples=[42])
    model_list: list[ManifestEntry] = Field(description="The models, without URLs.", examples=[[]])


class ReportedModel(Schema):
    """The state of one model on the reporting machine."""

    model_id: UUID = Field(description="The model's id.", examples=[EXAMPLE_ID])
    version: VersionNumber | None = Field(
        default=None,
        description="The number of the version in the manifest entry that this state is about. A state of another "
        "version than the current one does not count; without this field, nor does one of a model that has had "
        "several.",
        examples=[3],
    )
    state: ModelState = Field(description="The replica state.", examples=["downloading"])
    reason: Sentence | None = Field(
        default=None,
        description=f"The reason for the state. The registry stores the first {MAX_REASON_LENGTH} characters.",
        examples=["The disk is full."],
    )
    bytes_done: Count = Field(default=0, description="Bytes already on the machine.", examples=[1_000_000])


class Heartbeat(Schema):
    """The current description, activity and model states of a machine.

    Model states are sent in numbered reports, so that both sides can detect lost ones. A series starts with a full
    report: parts with ``is_whole``, sorted by id and numbered 1, 2, 3, …. Each part covers every id after
    ``whole_after`` up to its own last id (the last part: all following ids); models in that range that it omits are no
    longer on the machine. Later reports contain changes only. A report whose response was lost is repeated with the
    same number; a heartbeat without a report repeats the last number. If the numbers do not match, for instance after
    the registry was restored from a backup, the response has ``resend_all``: start a new series.

    The registry deletes states of models that a machine should not have. Therefore a model is reported again when its
    manifest entry changed, or was removed and added again, even if its state is unchanged.
    """

    agent_id: AgentId = Field(description="The machine's name, which its agent chooses.", examples=[EXAMPLE_AGENT])
    agent_status: Literal["idle", "busy", "syncing"] = Field(
        default="idle",
        description="`busy`: ComfyUI is rendering; `syncing`: models are being downloaded or removed.",
        examples=["idle"],
    )
    agent_labels: Labels = Field(
        default_factory=list, description="The machine's own labels.", examples=[["gpu24", "studio-north"]]
    )
    agent_version: ShortText = Field(
        default="", description="The version of modelyard on the machine.", examples=["0.2.0"]
    )
    comfyui_version: ShortText | None = Field(
        default=None, description="The version of ComfyUI, if known.", examples=["0.3.64"]
    )
    platform_arch: ShortText = Field(
        default="", description="Operating system and processor architecture.", examples=["linux-x86_64"]
    )
    sync_phase: SyncPhase = Field(
        default="idle", description="The current phase of reconciliation.", examples=["downloading"]
    )
    sync_detail: Sentence | None = Field(
        default=None, description="Details of the phase.", examples=["ink.safetensors"]
    )
    sync_percent: int | None = Field(
        default=None, strict=True, ge=0, le=100, description="Progress of the phase in percent.", examples=[40]
    )
    disk_free: Count | None = Field(
        default=None, description="Free bytes on the disk with the models.", examples=[10**12]
    )
    disk_budget: Count | None = Field(
        default=None, description="Bytes that models may use, if limited.", examples=[None]
    )
    bytes_held: Count = Field(
        default=0, description="Bytes of the registry's models on the machine.", examples=[10**11]
    )
    models_unloaded: Count = Field(
        default=0, description="Models that are ready, but that the machine's ComfyUI does not load.", examples=[0]
    )
    waiting_for: Sentence | None = Field(
        default=None,
        description="What the machine is waiting for, as one sentence.",
        examples=["Downloads start at 22:00."],
    )
    removal_waiting: Count = Field(default=0, description="Files whose removal waits for an approval.", examples=[0])
    removal_token: RemovalToken | None = Field(
        default=None, description="Identifies exactly those files; an approval must name it.", examples=[None]
    )
    report_series: SeriesName = Field(
        default="",
        description="The name of the report series; each full report starts a new one.",
        examples=["7f3a"],
    )
    report_number: Count = Field(
        default=0,
        description="Number of the last report of the series, from 1: this heartbeat's report, or the previous one.",
        examples=[3],
    )
    model_list: list[ReportedModel] = Field(
        default_factory=list, max_length=MAX_HEARTBEAT_STATES, description="Models whose state changed.", examples=[[]]
    )
    is_whole: bool = Field(
        default=False,
        description="Part of a full report: `model_list` is sorted by id and has all states after `whole_after`.",
        strict=True,
        examples=[False],
    )
    whole_after: UUID | None = Field(
        default=None, description="The last id of the previous part; null in the first part.", examples=[None]
    )
    is_last: bool = Field(
        default=False, strict=True, description="Whether this is the last part of a full report.", examples=[False]
    )


class HeartbeatResponse(Schema):
    """The registry's instructions in response to a heartbeat."""

    resend_all: bool = Field(description="Start a new series with a full report.", examples=[False])
    paused: bool = Field(description="Do not download or remove models for now.", examples=[False])
    approved_removal: RemovalToken | None = Field(
        description="The token of the approved removal; it does not approve another set of files.",
        examples=[None],
    )
    sync_now: bool = Field(description="Scan the disk and fetch the manifest now.", examples=[False])
    interval_seconds: float = Field(description="Seconds until the next heartbeat.", examples=[30])


class Agent(Schema):
    """A machine with its last reported state."""

    agent_id: str = Field(description="The machine's name, which its agent chooses.", examples=[EXAMPLE_AGENT])
    agent_status: AgentStatus = Field(description="`unhealthy`: no heartbeat for 90 seconds.", examples=["idle"])
    agent_labels: list[str] = Field(description="The machine's own labels and the central ones.", examples=[["gpu24"]])
    central_labels: list[str] = Field(description="The labels that the team set in the registry.", examples=[["night"]])
    last_heartbeat: datetime = Field(description="Time of the last heartbeat.", examples=[EXAMPLE_TIME])
    connected_at: datetime = Field(description="Time of the first heartbeat.", examples=[EXAMPLE_TIME])
    agent_version: str = Field(description="The version of modelyard on the machine.", examples=["0.2.0"])
    comfyui_version: str | None = Field(description="The version of ComfyUI, if known.", examples=["0.3.64"])
    platform_arch: str = Field(description="Operating system and processor architecture.", examples=["linux-x86_64"])
    tool: str = Field(default="comfyui", description="Always `comfyui`.", examples=["comfyui"])
    sync_phase: str = Field(description="The current phase of reconciliation.", examples=["downloading"])
    sync_detail: str | None = Field(description="Details of the phase.", examples=["ink.safetensors"])
    sync_percent: int | None = Field(description="Progress of the phase in percent.", examples=[40])
    paused: bool = Field(description="Whether downloads and removals are paused.", examples=[False])
    disk_free: int | None = Field(description="Free bytes on the disk with the models.", examples=[10**12])
    disk_budget: int | None = Field(description="Bytes that models may use, if limited.", examples=[None])
    bytes_held: int = Field(description="Bytes of the registry's models on the machine.", examples=[10**11])
    models_ready: int = Field(description="Number of models that are ready on the machine.", examples=[12])
    models_unloaded: int = Field(
        description="How many of these its ComfyUI does not load; their states have the reason.", examples=[0]
    )
    models_desired: int = Field(description="Number of models that the machine should have.", examples=[14])
    waiting_for: str | None = Field(
        description="What the machine is waiting for.", examples=["Downloads start at 22:00."]
    )
    removal_waiting: int = Field(description="Files whose removal waits for an approval.", examples=[0])


class AgentList(Schema):
    """A page of machines."""

    agent_list: list[Agent] = Field(description="The machines.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[EXAMPLE_PAGE])


class AgentUpdate(PartialUpdate):
    """Changes to a machine; absent fields are unchanged, null clears the labels."""

    agent_labels: Labels | None = Field(default=None, description="The central labels.", examples=[["night"]])
    paused: bool = Field(default=False, strict=True, description="Pause downloads and removals.", examples=[True])


class AgentModel(Schema):
    """The replica state of one model on one machine."""

    model_id: UUID = Field(description="The model's id.", examples=[EXAMPLE_ID])
    agent_id: str = Field(description="The machine.", examples=[EXAMPLE_AGENT])
    version: int = Field(description="The model's current version, which the state is about.", examples=[3])
    display_name: str = Field(description="The model's name.", examples=["Ink"])
    model_path: str = Field(description="Where it belongs.", examples=["loras/ink.safetensors"])
    file_size: int = Field(description="Bytes of the file.", examples=[151_000_000])
    state: ModelState = Field(description="The replica state.", examples=["ready"])
    reason: str | None = Field(description="The reason for the state.", examples=[None])
    bytes_done: int = Field(description="Bytes already on the machine.", examples=[151_000_000])
    reported_at: datetime | None = Field(
        description="When the machine reported the state; null if it has not reported the model yet.",
        examples=[EXAMPLE_TIME],
    )


class AgentModelList(Schema):
    """A page of replica states."""

    agent_model_list: list[AgentModel] = Field(description="The states.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[EXAMPLE_PAGE])


class AgentState(Schema):
    """The replica state of a model on one machine."""

    agent_id: str = Field(description="The machine.", examples=[EXAMPLE_AGENT])
    state: ModelState = Field(description="The replica state.", examples=["downloading"])
    reason: str | None = Field(description="The reason for the state.", examples=[None])
    bytes_done: int = Field(description="Bytes already on the machine.", examples=[75_000_000])


class ModelStates(Schema):
    """The replica states of one model; machines on which it is ready are only named, to keep the response small."""

    model_id: UUID = Field(description="The model's id.", examples=[EXAMPLE_ID])
    version: int = Field(description="Its current version, which the states are about.", examples=[3])
    ready: list[str] = Field(
        description="The machines on which the model is ready without a remark.", examples=[[EXAMPLE_AGENT]]
    )
    state_list: list[AgentState] = Field(description="The states on all other machines.", examples=[[]])


class ModelStatesList(Schema):
    """The replica states of several models."""

    model_list: list[ModelStates] = Field(description="The models, in the requested order.", examples=[[]])
