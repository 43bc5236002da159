"""API schemas of models."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from modelyard.wire.schemas import (
    EXAMPLE_HASH,
    EXAMPLE_ID,
    EXAMPLE_PAGE,
    EXAMPLE_TIME,
    INVISIBLE,
    LINE_PATTERN,
    NAME_PATTERN,
    Bytes,
    FileHash,
    LongName,
    Note,
    PageMeta,
    PartialUpdate,
    Schema,
    check_is_readable,
)
from modelyard.wire.uploads import EXAMPLE_KEY, ModelPathText, ModelType, StorageKey
from modelyard.wire.versions import Creator, PendingVersion, Verification, VersionNumber

ModelStatus = Literal["active", "disabled"]
Tag = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=64, pattern=NAME_PATTERN),
    BeforeValidator(check_is_readable),
]
MAX_LABEL_LENGTH = 64
LABEL_PATTERN = rf"^[A-Za-z0-9._-]{{1,{MAX_LABEL_LENGTH}}}$"
Label = Annotated[str, StringConstraints(strict=True, pattern=LABEL_PATTERN)]


def _remove_duplicates(names: list[str]) -> list[str]:
    """Return each name once, in the order of first appearance."""
    return list(dict.fromkeys(names))


Tags = Annotated[list[Tag], Field(max_length=64), AfterValidator(_remove_duplicates)]
Labels = Annotated[list[Label], Field(max_length=32), AfterValidator(_remove_duplicates)]
License = Annotated[str, StringConstraints(strict=True, max_length=200, pattern=LINE_PATTERN)]
# The page shows it as a link, and other schemes could run a script.
SourceUrl = Annotated[str, StringConstraints(strict=True, max_length=2000, pattern=rf"^https?://[^{INVISIBLE}]+$")]


class ModelNotes(Schema):
    """Optional descriptive fields of a model."""

    description: Note | None = Field(
        default=None, description="Free text, up to 10,000 characters.", examples=["Our house style."]
    )
    license: License | None = Field(
        default=None, description="The name or SPDX id of a license.", examples=["CC-BY-4.0"]
    )
    source_url: SourceUrl | None = Field(
        default=None, description="The URL that the file came from.", examples=["https://models.example/42"]
    )


class NewModel(ModelNotes):
    """A model to register after its file was uploaded."""

    display_name: LongName = Field(description="1 to 255 characters, kept as sent.", examples=["SDXL Base 1.0"])
    model_type: ModelType = Field(description="The ComfyUI models sub-directory.", examples=["checkpoints"])
    storage_key: StorageKey = Field(description="The object key that presign returned.", examples=[EXAMPLE_KEY])
    file_size: Bytes = Field(description="Bytes of the file.", examples=[6_800_000_000])
    file_hash: FileHash = Field(description="`sha256:` and the hex digest of the file.", examples=[EXAMPLE_HASH])
    model_path: ModelPathText = Field(
        description="Relative path inside the ComfyUI models directory.",
        examples=["models/checkpoints/sdxl_base_1.0.safetensors"],
    )
    tags: Tags = Field(default_factory=list, description="Up to 64 tags.", examples=[["portrait", "sdxl"]])
    required_labels: Labels = Field(
        default_factory=list, description="Only machines with all of these labels get the model.", examples=[["gpu24"]]
    )
    replaces: UUID | None = Field(
        default=None,
        description="The id of the model that the file becomes the next version of. The path stays; other fields that "
        "the request has are changed, and optional ones that it has not stay.",
        examples=[EXAMPLE_ID],
    )
    expected_version: VersionNumber | None = Field(
        default=None,
        description="With `replaces`: the number of the newest version that the caller has seen. If there is a newer "
        "one, the request is refused with 409 `version-conflict`.",
        examples=[3],
    )
    note: Note | None = Field(
        default=None, description="What is new in this version.", examples=["Trained on 40 more pictures."]
    )


class ModelUpdate(PartialUpdate, ModelNotes):
    """Changes to a model; absent fields are unchanged, and null clears the fields of `ModelNotes`."""

    display_name: LongName = Field(default="", description="1 to 255 characters.", examples=["SDXL Base 1.0"])
    model_type: ModelType = Field(default="", description="The ComfyUI models sub-directory.", examples=["checkpoints"])
    model_path: ModelPathText = Field(
        default="",
        description="Relative path inside the models directory of machines.",
        examples=["checkpoints/sdxl/base.safetensors"],
    )
    model_status: ModelStatus = Field(
        default="active", description="`disabled` removes it from all machines.", examples=["disabled"]
    )
    tags: Tags | None = Field(default=None, description="Up to 64 tags; null clears.", examples=[["portrait"]])
    required_labels: Labels | None = Field(
        default=None, description="Labels that a machine must have to get the model; null clears.", examples=[["gpu24"]]
    )


class Model(Schema):
    """A registered model."""

    id: UUID = Field(description="The model's id.", examples=[EXAMPLE_ID])
    display_name: str = Field(description="Its name, as sent.", examples=["SDXL Base 1.0"])
    model_type: str = Field(description="The ComfyUI models sub-directory, as sent.", examples=["checkpoints"])
    storage_key: str = Field(description="The object key of its upload.", examples=[EXAMPLE_KEY])
    file_size: int = Field(description="Bytes of the file.", examples=[6_800_000_000])
    file_hash: str = Field(description="`sha256:` and the hex digest.", examples=[EXAMPLE_HASH])
    model_path: str = Field(
        description="Relative path inside the models directory, as sent.",
        examples=["models/checkpoints/sdxl.safetensors"],
    )
    version: int = Field(
        description="The number of the current version, which machines get; before a first one is verified, of the "
        "pending one. The size, hashes, metadata and verification of the record are those of this version.",
        examples=[3],
    )
    version_count: int = Field(description="Number of its versions outside the trash.", examples=[3])
    pending_version: PendingVersion | None = Field(
        description="The version that becomes the current one once it is verified, or that failed; null without one.",
        examples=[None],
    )
    model_status: ModelStatus = Field(
        description="`disabled` models are removed from all machines.", examples=["active"]
    )
    created_at: datetime = Field(description="When it was registered.", examples=[EXAMPLE_TIME])
    updated_at: datetime = Field(description="When it last changed.", examples=[EXAMPLE_TIME])
    verification: Verification = Field(
        description="Whether the registry has read and verified the content.", examples=["verified"]
    )
    verification_error: str | None = Field(description="Why verification failed.", examples=[None])
    blake3_hash: str | None = Field(
        description="`blake3:` and the hex digest, once verified.", examples=["blake3:af13…"]
    )
    created_by: Creator = Field(
        description="Who registered it.", examples=[{"kind": "user", "id": None, "display_name": "Ada"}]
    )
    description: str | None = Field(description="Free text.", examples=["Our house style."])
    tags: list[str] = Field(description="Its tags.", examples=[["portrait"]])
    license: str | None = Field(description="The name or SPDX id of a license.", examples=["CC-BY-4.0"])
    source_url: str | None = Field(
        description="The URL that the file came from.", examples=["https://models.example/42"]
    )
    required_labels: list[str] = Field(
        description="Only machines with all of these labels get the model.", examples=[["gpu24"]]
    )
    agents_ready: int = Field(description="Number of machines on which it is ready.", examples=[3])
    agents_desired: int = Field(description="Number of machines that should have it.", examples=[4])
    metadata: dict[str, Any] = Field(
        description="Metadata read from the file; `refusal` has the facts of the `not-a-model-file` problem if "
        "verification failed with one.",
        examples=[{"format": "safetensors"}],
    )
    deleted_at: datetime | None = Field(
        default=None, description="When it was moved to the trash; null if it is not there.", examples=[None]
    )
    restorable_until: datetime | None = Field(
        default=None,
        description="Until when it can be restored from the trash; null if it is not there.",
        examples=[None],
    )


class ModelList(Schema):
    """A page of models."""

    model_list: list[Model] = Field(description="The models.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[EXAMPLE_PAGE])


class DownloadTicket(Schema):
    """A presigned download URL."""

    download_url: str = Field(
        description="A URL for GET requests; supports ranges.", examples=["http://127.0.0.1:8400/blobs/…"]
    )
    expires_at: datetime = Field(description="When the URL expires.", examples=[EXAMPLE_TIME])
