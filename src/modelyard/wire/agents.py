"""Agents: what a machine is told to hold, and what it reports."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from modelyard.wire.models import Labels
from modelyard.wire.shapes import EXAMPLE_HASH, EXAMPLE_ID, EXAMPLE_TIME, NAME_PATTERN, PageMeta, Shape

AGENT_ID_PATTERN = r"^[A-Za-z0-9._-]{1,64}$"
# How many changed states one heartbeat may carry.
MOST_STATES = 1000

AgentId = Annotated[str, StringConstraints(strict=True, pattern=AGENT_ID_PATTERN)]
ShortText = Annotated[str, StringConstraints(strict=True, max_length=100, pattern=NAME_PATTERN)]
# Room for two paths and two hashes in one sentence.
Sentence = Annotated[str, StringConstraints(strict=True, max_length=2000, pattern=NAME_PATTERN)]
# The digest of a set of files that waits to be removed.
RemovalToken = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9a-f]{64}$")]
SeriesName = Annotated[str, StringConstraints(strict=True, max_length=64, pattern=r"^[A-Za-z0-9._-]*$")]
Count = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)]
AgentStatus = Literal["idle", "busy", "syncing", "unhealthy"]
SyncPhase = Literal["idle", "scanning", "planning", "downloading", "verifying", "placing", "waiting"]
ModelState = Literal["wanted", "downloading", "verifying", "ready", "conflict", "blocked", "failed"]

EXAMPLE_AGENT = "render-07"


class WantedModel(Shape):
    """A model that a machine should hold."""

    id: UUID = Field(description="The model's id.", examples=[EXAMPLE_ID])
    model_path: str = Field(description="Relative path inside the models directory.", examples=["loras/ink.sft"])
    model_type: str = Field(description="The ComfyUI models sub-directory.", examples=["loras"])
    file_size: int = Field(description="Bytes of the file.", examples=[151_000_000])
    file_hash: str = Field(description="`sha256:` and the hex digest.", examples=[EXAMPLE_HASH])
    blake3_hash: str | None = Field(description="`blake3:` and the hex digest.", examples=["blake3:af13…"])
    updated_at: datetime = Field(description="When the record last changed.", examples=[EXAMPLE_TIME])
    keep: bool = Field(
        description="The registry's own bytes are damaged: whoever holds good ones keeps them, nobody fetches.",
        examples=[False],
    )


class Manifest(Shape):
    """Everything that a machine should hold.

    A request that waits ends early, with 304, when the registry has something else to say: send a heartbeat then.
    """

    revision: int = Field(description="Grows with each change of the team's models.", examples=[42])
    model_list: list[WantedModel] = Field(description="The models, without URLs.", examples=[[]])


class ReportedModel(Shape):
    """The state of one model on the machine that reports."""

    model_id: UUID = Field(description="The model's id.", examples=[EXAMPLE_ID])
    state: ModelState = Field(description="Where it stands.", examples=["downloading"])
    reason: Sentence | None = Field(default=None, description="Why, in words.", examples=["The disk is full."])
    bytes_done: Count = Field(default=0, description="Bytes that are here already.", examples=[1_000_000])


class Heartbeat(Shape):
    """What a machine is, has and is doing.

    States come in numbered reports, so that both sides know that they agree. The first report of a series begins the
    whole of what there is: parts with ``is_whole``, sorted by id, numbered 1, 2, 3, …; each says what is true of every
    id after ``whole_after`` up to its own last one (the last part: of all that follow), so what it leaves out is gone.
    After that a report has what changed. A report whose answer was lost is sent again under its own number; a heartbeat
    without a report repeats the last number. Whenever the numbers do not meet, because the registry was restored from a
    backup, say, the answer is ``resend_all``: begin a new series.

    The registry forgets states of models that a machine should not have. So a model is reported again when its entry
    in the manifest changed, or left and came back, also if its state is what it was.
    """

    agent_id: AgentId = Field(description="The machine's name for itself.", examples=[EXAMPLE_AGENT])
    agent_status: Literal["idle", "busy", "syncing"] = Field(
        default="idle", description="`busy`: ComfyUI renders; `syncing`: models come or go.", examples=["idle"]
    )
    agent_labels: Labels = Field(
        default_factory=list, description="The machine's own labels.", examples=[["gpu24", "studio-north"]]
    )
    agent_version: ShortText = Field(default="", description="modelyard's version there.", examples=["0.2.0"])
    comfyui_version: ShortText | None = Field(default=None, description="ComfyUI's, if known.", examples=["0.3.64"])
    platform_arch: ShortText = Field(default="", description="System and processor.", examples=["linux-x86_64"])
    sync_phase: SyncPhase = Field(default="idle", description="What it is doing.", examples=["downloading"])
    sync_detail: Sentence | None = Field(default=None, description="In words.", examples=["ink.safetensors"])
    sync_percent: int | None = Field(default=None, strict=True, ge=0, le=100, description="How far.", examples=[40])
    disk_free: Count | None = Field(default=None, description="Bytes free where models lie.", examples=[10**12])
    disk_budget: Count | None = Field(default=None, description="Bytes it may use, if limited.", examples=[None])
    bytes_held: Count = Field(default=0, description="Bytes of the registry's models there.", examples=[10**11])
    waiting_for: Sentence | None = Field(
        default=None, description="Why it waits, as one sentence.", examples=["Downloads start at 22:00."]
    )
    removal_waiting: Count = Field(default=0, description="Files whose removal waits for an approval.", examples=[0])
    removal_token: RemovalToken | None = Field(
        default=None, description="The name of exactly those files; an approval quotes it.", examples=[None]
    )
    report_series: SeriesName = Field(
        default="",
        description="The reports that belong together: a new name with each whole report.",
        examples=["7f3a"],
    )
    report_number: Count = Field(
        default=0,
        description="The last report of the series, from 1: this one if it is one, else one before.",
        examples=[3],
    )
    model_list: list[ReportedModel] = Field(
        default_factory=list, max_length=MOST_STATES, description="Models whose state changed.", examples=[[]]
    )
    is_whole: bool = Field(
        default=False,
        description="A part of the whole: `model_list` is sorted by id, and names all states after `whole_after`.",
        strict=True,
        examples=[False],
    )
    whole_after: UUID | None = Field(
        default=None, description="The last id of the part before; null in the first part.", examples=[None]
    )
    is_last: bool = Field(default=False, strict=True, description="The last part of the whole.", examples=[False])


class HeartbeatAnswer(Shape):
    """What the registry tells a machine in turn."""

    resend_all: bool = Field(description="Report every model anew, in a new series.", examples=[False])
    paused: bool = Field(description="Fetch and remove nothing for now.", examples=[False])
    approved_removal: RemovalToken | None = Field(
        description="The removal with this token may go on; another set of files is not approved by it.",
        examples=[None],
    )
    sync_now: bool = Field(description="Look at the disk and the manifest now.", examples=[False])
    interval_seconds: float = Field(description="When the next heartbeat is due.", examples=[30])


class Agent(Shape):
    """A machine as the registry shows it."""

    agent_id: str = Field(description="The machine's name for itself.", examples=[EXAMPLE_AGENT])
    agent_status: AgentStatus = Field(
        description="`unhealthy`: it has not been heard of for 90 seconds.", examples=["idle"]
    )
    agent_labels: list[str] = Field(description="The machine's labels and the central ones.", examples=[["gpu24"]])
    central_labels: list[str] = Field(description="Those that the team added here.", examples=[["night"]])
    last_heartbeat: datetime = Field(description="When it was last heard of.", examples=[EXAMPLE_TIME])
    connected_at: datetime = Field(description="When it was first heard of.", examples=[EXAMPLE_TIME])
    agent_version: str = Field(description="modelyard's version there.", examples=["0.2.0"])
    comfyui_version: str | None = Field(description="ComfyUI's, if known.", examples=["0.3.64"])
    platform_arch: str = Field(description="System and processor.", examples=["linux-x86_64"])
    tool: str = Field(default="comfyui", description="Always `comfyui`.", examples=["comfyui"])
    sync_phase: str = Field(description="What it is doing.", examples=["downloading"])
    sync_detail: str | None = Field(description="In words.", examples=["ink.safetensors"])
    sync_percent: int | None = Field(description="How far.", examples=[40])
    paused: bool = Field(description="It was told to fetch and remove nothing.", examples=[False])
    disk_free: int | None = Field(description="Bytes free where models lie.", examples=[10**12])
    disk_budget: int | None = Field(description="Bytes it may use, if limited.", examples=[None])
    bytes_held: int = Field(description="Bytes of the registry's models there.", examples=[10**11])
    models_ready: int = Field(description="Models that it holds.", examples=[12])
    models_wanted: int = Field(description="Models that it should hold.", examples=[14])
    waiting_for: str | None = Field(description="Why it waits.", examples=["Downloads start at 22:00."])
    removal_waiting: int = Field(description="Files whose removal waits for an approval.", examples=[0])


class AgentList(Shape):
    """A page of machines."""

    agent_list: list[Agent] = Field(description="The machines.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[{"per_page": 20}])


class AgentChange(Shape):
    """What to change about a machine; absent fields stay, null clears the labels."""

    agent_labels: Labels | None = Field(default=None, description="Labels added here.", examples=[["night"]])
    paused: bool = Field(default=False, strict=True, description="Fetch and remove nothing.", examples=[True])


class AgentModel(Shape):
    """One model on one machine."""

    model_id: UUID = Field(description="The model's id.", examples=[EXAMPLE_ID])
    agent_id: str = Field(description="The machine.", examples=[EXAMPLE_AGENT])
    display_name: str = Field(description="The model's name.", examples=["Ink"])
    model_path: str = Field(description="Where it belongs.", examples=["loras/ink.safetensors"])
    file_size: int = Field(description="Bytes of the file.", examples=[151_000_000])
    state: ModelState = Field(description="Where it stands.", examples=["ready"])
    reason: str | None = Field(description="Why, in words.", examples=[None])
    bytes_done: int = Field(description="Bytes that are there already.", examples=[151_000_000])
    reported_at: datetime | None = Field(
        description="When the machine said so; null if it has not said anything of it yet.", examples=[EXAMPLE_TIME]
    )


class AgentModelList(Shape):
    """A page of models on machines."""

    agent_model_list: list[AgentModel] = Field(description="The states.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[{"per_page": 20}])


class AgentState(Shape):
    """How far one machine is with a model."""

    agent_id: str = Field(description="The machine.", examples=[EXAMPLE_AGENT])
    state: ModelState = Field(description="Where it stands.", examples=["downloading"])
    reason: str | None = Field(description="Why, in words.", examples=[None])
    bytes_done: int = Field(description="Bytes that are there already.", examples=[75_000_000])


class ModelStates(Shape):
    """One model on every machine that should hold it; nearly all of them have it, so those are only named."""

    model_id: UUID = Field(description="The model's id.", examples=[EXAMPLE_ID])
    ready: list[str] = Field(description="The machines that have it, with nothing to add.", examples=[[EXAMPLE_AGENT]])
    state_list: list[AgentState] = Field(description="How far the others are.", examples=[[]])


class ModelStatesList(Shape):
    """Some models on every machine."""

    model_list: list[ModelStates] = Field(description="The models, in the order asked.", examples=[[]])
