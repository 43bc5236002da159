"""Presigned requests, parts, multipart uploads."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, StrictInt, StringConstraints

from modelyard.wire.paths import SOURCE_PATTERN
from modelyard.wire.shapes import EXAMPLE_HASH, EXAMPLE_ID, EXAMPLE_TIME, Bytes, FileHash, LongName, Shape

EXAMPLE_KEY = "models/0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10/0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a11"
StorageKey = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=512)]
UploadId = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=1024)]
PartNumber = Annotated[StrictInt, Field(ge=1, le=10_000)]
ModelType = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=50)]
ModelPathText = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=1024),
    Field(json_schema_extra={"pattern": SOURCE_PATTERN}),
]

Headers = dict[str, str]


class UploadRequest(Shape):
    """A file that wants to come."""

    file_name: LongName = Field(description="The file's own name.", examples=["sdxl_base_1.0.safetensors"])
    file_size: Bytes = Field(description="Its size in bytes.", examples=[6_800_000_000])
    model_type: ModelType = Field(description="The ComfyUI models sub-directory.", examples=["checkpoints"])
    model_path: ModelPathText = Field(
        description="Where it belongs, relative to the models directory.",
        examples=["models/checkpoints/sdxl_base_1.0.safetensors"],
    )
    file_hash: FileHash | None = Field(
        default=None, description="`sha256:` and the hex digest, if known.", examples=[EXAMPLE_HASH]
    )
    replaces: UUID | None = Field(
        default=None,
        description="The model whose bytes these will replace: its path then counts as free.",
        examples=[EXAMPLE_ID],
    )


class UploadTicket(Shape):
    """Where to put the bytes, or that they are here already."""

    upload_url: str = Field(description="PUT the whole file here.", examples=["http://127.0.0.1:8400/blobs/…"])
    storage_key: str = Field(description="The handle of this upload, for registering.", examples=[EXAMPLE_KEY])
    upload_headers: Headers = Field(description="Send every one; they are signed.", examples=[{"If-None-Match": "*"}])
    expires_at: datetime = Field(
        description="When the URL ends; the upload lives 7 days after its last part.", examples=[EXAMPLE_TIME]
    )
    multipart_required: bool = Field(description="Too large for one PUT: send parts.", examples=[True])
    already_stored: bool = Field(description="The team holds these bytes: skip the PUT and register.", examples=[False])
    hash_first: bool = Field(
        description="The team holds bytes of this size: hashing may save the transfer.", examples=[False]
    )


class MultipartRequest(Shape):
    """An upload that goes in parts."""

    storage_key: StorageKey = Field(description="The handle from presign.", examples=[EXAMPLE_KEY])
    file_size: Bytes = Field(description="The same size as at presign.", examples=[6_800_000_000])


class MultipartStarted(Shape):
    """How to cut the file."""

    upload_id: str = Field(description="The id of this multipart upload.", examples=["0199a1de7c1e7a52"])
    storage_key: str = Field(description="The handle from presign.", examples=[EXAMPLE_KEY])
    part_size: int = Field(description="Bytes of every part but the last.", examples=[104_857_600])
    part_count: int = Field(description="How many parts there are.", examples=[65])


class Multipart(Shape):
    """A multipart upload by its two names."""

    storage_key: StorageKey = Field(description="The handle from presign.", examples=[EXAMPLE_KEY])
    upload_id: UploadId = Field(description="The id from initiate.", examples=["0199a1de7c1e7a52"])


class PartsRequest(Multipart):
    """Parts that want URLs."""

    part_numbers: Annotated[list[PartNumber], Field(min_length=1, max_length=1000)] = Field(
        description="1 to 1,000 part numbers.", examples=[[1, 2, 3]]
    )


class PartTicket(Shape):
    """Where to put one part."""

    part_number: int = Field(description="Which part.", examples=[1])
    upload_url: str = Field(description="PUT the part here.", examples=["http://127.0.0.1:8400/blobs/…"])
    upload_headers: Headers = Field(
        description="Send every one; they are signed.", examples=[{"Content-Length": "104857600"}]
    )


class PartTickets(Shape):
    """URLs for parts."""

    part_list: list[PartTicket] = Field(description="One for each number asked for.", examples=[[]])


class StoredPart(Shape):
    """A part that the store holds."""

    part_number: int = Field(description="Which part.", examples=[1])
    etag: str = Field(description="The store's tag of it.", examples=['"9f86d081884c7d65"'])
    size: int = Field(description="Its bytes.", examples=[104_857_600])


class StoredParts(Shape):
    """What a resume needs to know."""

    part_list: list[StoredPart] = Field(description="In the order of their numbers.", examples=[[]])


class NamedPart(Shape):
    """A part as the client knows it."""

    part_number: PartNumber = Field(description="Which part.", examples=[1])
    etag: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=256)] = Field(
        description="The ETag of its PUT.", examples=['"9f86d081884c7d65"']
    )


class MultipartCompletion(Multipart):
    """All parts, so that the file becomes one."""

    part_list: Annotated[list[NamedPart], Field(min_length=1, max_length=10_000)] = Field(
        description="Every part, ascending.", examples=[[{"part_number": 1, "etag": '"9f86d081884c7d65"'}]]
    )
