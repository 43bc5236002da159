"""API schemas of the versions of a model."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StrictInt

from modelyard.wire.schemas import (
    EXAMPLE_HASH,
    EXAMPLE_ID,
    EXAMPLE_PAGE,
    EXAMPLE_TIME,
    Note,
    PageMeta,
    PartialUpdate,
    Schema,
)

PREVIEWS_PATH = "/api/v1/previews"
EXAMPLE_PREVIEW = f"{PREVIEWS_PATH}/{EXAMPLE_HASH.removeprefix('sha256:')}"
PreviewFormat = Literal["webp", "png"]

Verification = Literal["pending", "verified", "failed"]
VersionStatus = Literal["current", "pending", "replaced", "superseded", "failed"]
MAX_VERSION = 999_999_999
VersionNumber = Annotated[StrictInt, Field(ge=1, le=MAX_VERSION)]


class Creator(Schema):
    """The user or key that registered a model or a version."""

    kind: str = Field(description="user, integration or device.", examples=["user"])
    id: UUID | None = Field(description="The user or key.", examples=[EXAMPLE_ID])
    display_name: str = Field(description="Its name at the time of registration.", examples=["Ada Lovelace"])


class PendingVersion(Schema):
    """The version that becomes the current one once it is verified; or the failure of the newest version."""

    version: int = Field(description="Its number.", examples=[4])
    verification: Verification = Field(
        description="`failed` stays until the next version or an activation.", examples=["pending"]
    )
    verification_error: str | None = Field(
        description="Why verification failed, or why it has to be tried again.", examples=[None]
    )


class ModelVersion(Schema):
    """One content of a model."""

    version: int = Field(
        description="Its number, from 1; the numbers of purged versions are not used again.", examples=[3]
    )
    version_status: VersionStatus = Field(
        description="`current`: machines get it. `pending`: it is being verified. `replaced`: it was current once. "
        "`superseded`: a newer version or an activation overtook it. `failed`: verification failed.",
        examples=["replaced"],
    )
    is_previous: bool | None = Field(
        default=None,
        description="Whether a roll-back goes to it: of the versions that can be current, it was the current one last "
        "before the current version. One that was left by going back to an earlier version does not count. "
        "Never null in a response of this release.",
        examples=[True],
    )
    file_hash: str = Field(
        description="`sha256:` and the hex digest; of a folder, of its manifest.", examples=[EXAMPLE_HASH]
    )
    file_size: int = Field(description="Bytes of the file; of a folder, of its manifest.", examples=[6_800_000_000])
    total_size: int | None = Field(
        default=None, description="Bytes of all files of a folder; null for one file.", examples=[None]
    )
    file_count: int | None = Field(
        default=None, description="How many files a folder has; null for one file.", examples=[None]
    )
    blake3_hash: str | None = Field(
        description="`blake3:` and the hex digest, once verified.", examples=["blake3:af13…"]
    )
    verification: Verification = Field(
        description="Whether the registry has read and verified the content.", examples=["verified"]
    )
    verification_error: str | None = Field(
        description="Why verification failed, or why it has to be tried again.", examples=[None]
    )
    created_by: Creator = Field(
        description="Who uploaded it.", examples=[{"kind": "user", "id": None, "display_name": "Ada"}]
    )
    created_at: datetime = Field(description="When it was registered.", examples=[EXAMPLE_TIME])
    promoted_at: datetime | None = Field(
        description="When it became the current version for the first time.", examples=[EXAMPLE_TIME]
    )
    note: str | None = Field(description="What is new in this version.", examples=["Trained on 40 more pictures."])
    preview_url: str | None = Field(
        description="The path of its own picture; null without one.", examples=[EXAMPLE_PREVIEW]
    )
    preview_color: str | None = Field(description="The average colour of the picture.", examples=["#7a5c3e"])
    metadata: dict[str, Any] = Field(description="Metadata read from the file.", examples=[{"format": "safetensors"}])
    deleted_at: datetime | None = Field(
        default=None, description="When it was moved to the trash; null if it is not there.", examples=[None]
    )
    restorable_until: datetime | None = Field(
        default=None, description="Until when it can be restored from the trash.", examples=[None]
    )

    @property
    def content_size(self) -> int:
        """Bytes of its file, or of all files of a folder."""
        return self.file_size if self.total_size is None else self.total_size

    @property
    def is_damaged(self) -> bool:
        """Whether the content was verified once, and its stored bytes have changed or are missing since."""
        return self.verification == "failed" and self.version_status != "failed"


class VersionList(Schema):
    """A page of a model's versions."""

    version_list: list[ModelVersion] = Field(description="The versions, newest first.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[EXAMPLE_PAGE])


class VersionUpdate(PartialUpdate):
    """Changes to a version; null clears the note."""

    note: Note | None = Field(
        default=None, description="What is new in this version.", examples=["Trained on 40 more pictures."]
    )


class Preview(Schema):
    """The preview picture of a version; both are null if it has none, since `replace=false` kept it so."""

    preview_url: str | None = Field(
        description="The path of the picture; it never changes its content.", examples=[EXAMPLE_PREVIEW]
    )
    preview_color: str | None = Field(description="Its average colour.", examples=["#7a5c3e"])


def build_preview_url(sha256: str | None) -> str | None:
    """Return the path of a picture in the API, or None without one."""
    return None if sha256 is None else f"{PREVIEWS_PATH}/{sha256}"
