"""API schemas of imports: what was confirmed, and how far an import is."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from modelyard.wire.imports.drafts import EXAMPLE_PINNED, Link
from modelyard.wire.model_details import Sidecar
from modelyard.wire.models import Labels, ModelDescription, Tags
from modelyard.wire.schemas import (
    EXAMPLE_HASH,
    EXAMPLE_ID,
    EXAMPLE_PAGE,
    EXAMPLE_TIME,
    Bytes,
    FileHash,
    ModelPathText,
    ModelType,
    PageMeta,
    Schema,
)
from modelyard.wire.versions import Creator

ImportState = Literal["queued", "running", "done", "failed", "cancelled"]


class NewImport(ModelDescription):
    """A draft as it was confirmed: the file to download, and the model to register."""

    url: Link = Field(
        description="The `url` of the draft, which names exactly this content.", examples=[EXAMPLE_PINNED]
    )
    file_size: Bytes | None = Field(
        default=None,
        description="The `size` of the draft. Without it, the file's size is known when it is downloaded: the quota is "
        "reserved step by step.",
        examples=[228_455_604],
    )
    file_hash: FileHash | None = Field(
        default=None,
        description="The `hashes.sha256` of the draft. Content that the team has already is not downloaded.",
        examples=[EXAMPLE_HASH],
    )
    model_type: ModelType = Field(description="The ComfyUI models sub-directory.", examples=["loras"])
    model_path: ModelPathText = Field(
        description="Relative path inside the ComfyUI models directory.", examples=["loras/ink.safetensors"]
    )
    tags: Tags = Field(default_factory=list, description="Up to 64 tags.", examples=[["portrait"]])
    required_labels: Labels = Field(
        default_factory=list, description="Only machines with all of these labels get the model.", examples=[["gpu24"]]
    )
    replaces: UUID | None = Field(
        default=None,
        description="The id of the model that the file becomes the next version of. The path must be that model's.",
        examples=[EXAMPLE_ID],
    )
    sidecar: Sidecar | None = Field(
        default=None,
        description="The base model, trigger words and license of the draft; `base_model`, `trigger_words` and "
        "`license` are what a person enters instead.",
        examples=[{"base_model": "Pony", "trigger_words": ["inkwash"], "license": "cc-by-4.0"}],
    )


class ModelImport(Schema):
    """An import and how far it is."""

    id: UUID = Field(description="The import's id.", examples=[EXAMPLE_ID])
    url: str = Field(description="The link of exactly the imported content.", examples=[EXAMPLE_PINNED])
    import_state: ImportState = Field(
        description="`queued`: it waits to be run, or to be tried again. `running`: the file is being downloaded. "
        "`done`: the model is registered, and verified like every upload. `failed`: `error` says why. `cancelled`.",
        examples=["running"],
    )
    display_name: str = Field(description="The name of the model.", examples=["Ink"])
    model_type: str = Field(description="The ComfyUI models sub-directory.", examples=["loras"])
    model_path: str = Field(description="The path of the model.", examples=["loras/ink.safetensors"])
    file_size: int | None = Field(
        description="Bytes of the file; null until it is `done` if the source does not say it.", examples=[228_455_604]
    )
    bytes_done: int = Field(description="Bytes that are stored already.", examples=[16_777_216])
    relies_on_etag: bool = Field(
        default=False,
        description="Whether the download was continued without a declared hash: only the ETag of the source says then "
        "that its ranges are of one content.",
        examples=[False],
    )
    model_id: UUID | None = Field(description="The registered model; null until `done`.", examples=[None])
    error: str | None = Field(
        description="Why it failed, why the last try did, or why it waits until `retry_at`.", examples=[None]
    )
    error_code: str | None = Field(description="The problem in snake_case.", examples=[None])
    retry_at: datetime | None = Field(
        description="When it is run at the earliest: after a failed try, or once its host, which limits requests, "
        "may be asked again. Null if it waits for neither.",
        examples=[None],
    )
    created_at: datetime = Field(description="When it was started.", examples=[EXAMPLE_TIME])
    finished_at: datetime | None = Field(description="When it ended; null before.", examples=[None])
    created_by: Creator = Field(
        description="Who started it.", examples=[{"kind": "user", "id": None, "display_name": "Ada"}]
    )


class ImportList(Schema):
    """A page of imports."""

    import_list: list[ModelImport] = Field(description="The imports, newest first.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[EXAMPLE_PAGE])
