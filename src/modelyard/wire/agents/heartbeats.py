"""API schemas of heartbeats: what a machine reports, and what the registry answers."""

from contextlib import suppress
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field, ValidationError

from modelyard.wire.agents.values import (
    EXAMPLE_AGENT,
    MAX_HEARTBEAT_STATES,
    MAX_REASON_LENGTH,
    MAX_UNREADABLE_FIELDS,
    AgentId,
    Count,
    ModelState,
    RemovalToken,
    Sentence,
    SeriesName,
    ShortText,
    SyncPhase,
)
from modelyard.wire.long_lists import LongList, at_most
from modelyard.wire.models import Labels
from modelyard.wire.schemas import EXAMPLE_ID, EXAMPLE_TIME, FieldError, Schema
from modelyard.wire.uses.reports import MAX_HEARTBEAT_USES, ModelUse, ReportedTime
from modelyard.wire.versions import VersionNumber


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
    model_path: Sentence | None = Field(
        default=None,
        description="The path of a `ready` model in the manifest entry that this state is about, without a leading "
        "`models/`. A state of another path than the model's does not count.",
        examples=["loras/ink.safetensors"],
    )
    reason: Sentence | None = Field(
        default=None,
        description=f"The reason for the state. The registry cuts it to {MAX_REASON_LENGTH} characters, the last of "
        "which is an ellipsis then.",
        examples=["The disk is full."],
    )
    bytes_done: Count = Field(default=0, description="Bytes already on the machine.", examples=[1_000_000])


ReportedModels = Annotated[LongList[ReportedModel], *at_most(MAX_HEARTBEAT_STATES)]


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

    The agent may be newer or older than the registry, which reads what it can of a heartbeat: a model with an unknown
    state or an invalid version counts as `queued`, invalid texts and numbers that only describe the machine are
    shortened or left out, an entry without a valid model id does not count, and after an invalid use the machine counts
    use anew. The response names them in `unreadable_list`. A heartbeat is refused as a whole (422) if its `agent_id`,
    `agent_labels`, `places_folders`, `is_stopping`, `removal_token`, `report_series`, `report_number`, `is_whole`,
    `whole_after` or `is_last` is invalid, if a list is none or too long, or if a part of a full report that is not the
    last one ends with an entry without a valid model id.
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
    agent_build: ShortText | None = Field(
        default=None,
        description="The commit that this version was built from, if known: it tells builds of one version apart.",
        examples=["1f2e3d4c5b6a"],
    )
    agent_process: SeriesName | None = Field(
        default=None,
        description="A random name of the agent's process; after a restart it has another. It tells that two agents "
        "report as one machine.",
        examples=["5d0c9a1f7e2b4c68"],
    )
    comfyui_version: ShortText | None = Field(
        default=None, description="The version of ComfyUI, if known.", examples=["0.3.64"]
    )
    places_folders: bool = Field(
        default=False,
        strict=True,
        description="Whether the machine places models of many files; only then its manifest has them.",
        examples=[True],
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
    models_evicted: Count = Field(
        default=0, description="Models that the machine does not hold because of its disk budget.", examples=[0]
    )
    models_unloaded: Count = Field(
        default=0, description="Models that are ready, but that the machine's ComfyUI does not load.", examples=[0]
    )
    waiting_for: Sentence | None = Field(
        default=None,
        description="What the machine is waiting for, as one sentence.",
        examples=["Downloads start at 22:00."],
    )
    problem: Sentence | None = Field(
        default=None,
        description="Why the machine cannot be brought to its desired state until a person acts, as one sentence.",
        examples=[None],
    )
    sync_bytes_done: Count | None = Field(
        default=None, description="Bytes that are done of what is being synced; null if nothing is.", examples=[None]
    )
    sync_bytes_total: Count | None = Field(
        default=None, description="Bytes of everything that is being synced.", examples=[None]
    )
    sync_seconds_left: Count | None = Field(
        default=None, description="Seconds until all of it is done, if known.", examples=[None]
    )
    is_stopping: bool = Field(
        default=False,
        strict=True,
        description="The last heartbeat: the agent is being stopped. The machine is offline until the next one.",
        examples=[False],
    )
    removal_waiting: Count = Field(default=0, description="Files whose removal waits for an approval.", examples=[0])
    removal_token: RemovalToken | None = Field(
        default=None, description="Identifies exactly those files; an approval must name it.", examples=[None]
    )
    use_counted_since: ReportedTime | None = Field(
        default=None,
        description="Since when the machine has counted which models its ComfyUI uses; null if it does not count.",
        examples=[EXAMPLE_TIME],
    )
    use_list: Annotated[LongList[ModelUse], *at_most(MAX_HEARTBEAT_USES)] = Field(
        default_factory=list,
        description="Uses that the registry may not know yet. Repeated ones, earlier ones than the registry knows, and "
        "those of models of other teams change nothing.",
        examples=[[]],
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
    model_list: ReportedModels = Field(default_factory=list, description="Models whose state changed.", examples=[[]])
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


class UnreadableField(FieldError):
    """A value of a heartbeat that the registry could not read, and what counts in its place."""

    model_id: UUID | None = Field(
        default=None, description="The model that the value is about, if known.", examples=[EXAMPLE_ID]
    )


def _select_readable(value: Any) -> list[UnreadableField]:
    """Return the first entries without those that cannot be read: they only explain, and cost no instruction."""
    readable: list[UnreadableField] = []
    for entry in value[:MAX_UNREADABLE_FIELDS] if isinstance(value, list) else []:
        with suppress(ValidationError):
            readable.append(UnreadableField.model_validate(entry))
    return readable


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
    team_name: str | None = Field(default=None, description="The team's name.", examples=["Studio"])
    team_id: UUID | None = Field(default=None, description="The team's id.", examples=[EXAMPLE_ID])
    may_request_models: bool = Field(
        default=False, description="Whether the team lets machines request models.", examples=[True]
    )
    is_reported_by_two: bool = Field(
        default=False,
        description="Whether another agent reports as this machine with the same key, such as on a computer with a "
        "copy of its disk: for more than 90 seconds, and until three minutes after the last sign of it.",
        examples=[False],
    )
    unreadable_list: Annotated[list[UnreadableField], BeforeValidator(_select_readable)] = Field(
        default_factory=list,
        description=f"The first {MAX_UNREADABLE_FIELDS} values of the heartbeat that the registry could not read; all "
        "others count.",
        examples=[[]],
    )
    unreadable_count: Count = Field(default=0, description="How many values it could not read.", examples=[0])
