"""API schemas of manifests: the desired models of a machine."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from modelyard.wire.agents.values import Count
from modelyard.wire.schemas import EXAMPLE_HASH, EXAMPLE_ID, EXAMPLE_TIME, Schema
from modelyard.wire.versions import EXAMPLE_PREVIEW


class ManifestEntry(Schema):
    """A model that a machine should hold."""

    id: UUID = Field(description="The model's id.", examples=[EXAMPLE_ID])
    version: int = Field(description="The number of its current version, or of the pinned one.", examples=[3])
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
    preview_sha256: str | None = Field(
        default=None,
        description="The picture that the model shows, for `GET /previews/{sha256}`; null without one, and in a "
        "manifest that was requested without `previews`.",
        examples=[EXAMPLE_PREVIEW.rsplit("/", maxsplit=1)[-1]],
    )
    is_folder: bool = Field(
        default=False,
        description="A model of many files: size and hash are those of its canonical manifest, and "
        "`GET /models/{id}/files` lists the files. Only for machines whose heartbeats have `places_folders`.",
        examples=[False],
    )
    pin_conflict: str | None = Field(
        default=None,
        description="Collections pin different versions, which are named: the file stays as it is (`keep`).",
        examples=[None],
    )


class Manifest(Schema):
    """The desired models of a machine.

    A long-polling request ends early with 304 when other instructions are pending: send a heartbeat then.
    """

    revision: int = Field(description="Increases with each change of the team's models.", examples=[42])
    model_list: list[ManifestEntry] = Field(description="The models, without URLs.", examples=[[]])
    disk_budget_bytes: Count | None = Field(
        default=None,
        description="Bytes that the machine's models may take, as the team set it; absent without a budget.",
        examples=[None],
    )
    assigned_ids: list[UUID] | None = Field(
        default=None,
        description="With a budget: the models that are assigned to the machine, directly or by a collection. It never "
        "evicts them.",
        examples=[None],
    )
