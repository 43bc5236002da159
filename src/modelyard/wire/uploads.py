"""API schemas of presigned uploads and multipart uploads."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, StrictBool, StrictInt, StringConstraints

from modelyard.wire.long_lists import LongList, at_most
from modelyard.wire.schemas import (
    EXAMPLE_HASH,
    EXAMPLE_ID,
    EXAMPLE_KEY,
    EXAMPLE_TIME,
    Bytes,
    FileHash,
    ModelPathText,
    ModelType,
    Schema,
    StorageKey,
)
from modelyard.wire.texts.rules import LINE_PATTERN

UploadId = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=1024)]
# S3's limit.
MAX_PARTS = 10_000
PartNumber = Annotated[StrictInt, Field(ge=1, le=MAX_PARTS)]
FileName = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=255, pattern=LINE_PATTERN)]
Headers = dict[str, str]

# A single PUT cannot be resumed. Up to this size, sending a file again costs no more than the four smallest parts that
# an interrupted multipart upload sends again.
MULTIPART_ABOVE_BYTES = 32 * 1024 * 1024


class UploadRequest(Schema):
    """A file to upload."""

    file_name: FileName = Field(description="The file's own name.", examples=["sdxl_base_1.0.safetensors"])
    file_size: Bytes = Field(description="Its size in bytes.", examples=[6_800_000_000])
    model_type: ModelType = Field(description="The ComfyUI models sub-directory.", examples=["checkpoints"])
    model_path: ModelPathText = Field(
        description="Its path relative to the models directory.",
        examples=["models/checkpoints/sdxl_base_1.0.safetensors"],
    )
    file_hash: FileHash | None = Field(
        default=None, description="`sha256:` and the hex digest, if known.", examples=[EXAMPLE_HASH]
    )
    is_folder: StrictBool | None = Field(
        default=None,
        description="The file is one of a folder model, or its manifest; `model_path` is then that of the folder.",
        examples=[False],
    )
    replaces: UUID | None = Field(
        default=None,
        description="The model whose content this file will replace; its path is then allowed.",
        examples=[EXAMPLE_ID],
    )
    storage_key: StorageKey | None = Field(
        default=None,
        description="The storage key of your earlier ticket for this file, which was requested without its hash: that "
        "upload is continued with the hash, instead of another one whose bytes count too. A key of another file or of "
        "an upload that was begun is ignored.",
        examples=[EXAMPLE_KEY],
    )


class UploadTicket(Schema):
    """A presigned upload, or the information that the content is stored already."""

    upload_url: str = Field(
        description="The URL for a PUT request with the whole file.", examples=["http://127.0.0.1:8400/blobs/…"]
    )
    storage_key: str = Field(
        description="The storage key of the upload, needed for registration.", examples=[EXAMPLE_KEY]
    )
    upload_headers: Headers = Field(
        description="Headers to send; all of them are signed.", examples=[{"If-None-Match": "*"}]
    )
    expires_at: datetime = Field(
        description="When the URL expires; the upload itself expires 7 days after its last part.",
        examples=[EXAMPLE_TIME],
    )
    multipart_required: bool = Field(
        description="The file is too large for one PUT request: upload parts.", examples=[True]
    )
    multipart_recommended: bool = Field(
        description="Upload parts, although one PUT request is allowed: an interruption then costs only a few parts. "
        f"True for files above {MULTIPART_ABOVE_BYTES // 2**20} MiB and wherever `multipart_required` is.",
        examples=[True],
    )
    already_stored: bool = Field(
        description="The team has this content: skip the upload and register.", examples=[False]
    )
    hash_first: bool = Field(
        description="The team has content of this size: hash the file first, it may save the upload.", examples=[False]
    )


class MultipartRequest(Schema):
    """A multipart upload to start."""

    storage_key: StorageKey = Field(description="The storage key from presign.", examples=[EXAMPLE_KEY])
    file_size: Bytes = Field(description="The same size as at presign.", examples=[6_800_000_000])


class MultipartStarted(Schema):
    """A started multipart upload with its part size."""

    upload_id: str = Field(description="The id of this multipart upload.", examples=["0199a1de7c1e7a52"])
    storage_key: str = Field(description="The storage key from presign.", examples=[EXAMPLE_KEY])
    part_size: int = Field(description="Bytes of every part except the last.", examples=[16_777_216])
    part_count: int = Field(description="Number of parts.", examples=[406])


class Multipart(Schema):
    """A multipart upload, identified by storage key and upload id."""

    storage_key: StorageKey = Field(description="The storage key from presign.", examples=[EXAMPLE_KEY])
    upload_id: UploadId = Field(description="The id from initiate.", examples=["0199a1de7c1e7a52"])


class PartsRequest(Multipart):
    """Parts to presign."""

    part_numbers: Annotated[list[PartNumber], Field(min_length=1, max_length=1000)] = Field(
        description="1 to 1,000 part numbers.", examples=[[1, 2, 3]]
    )


class PartTicket(Schema):
    """A presigned part."""

    part_number: int = Field(description="The part number.", examples=[1])
    upload_url: str = Field(
        description="The URL for a PUT request with the part.", examples=["http://127.0.0.1:8400/blobs/…"]
    )
    upload_headers: Headers = Field(
        description="Headers to send; all of them are signed.", examples=[{"Content-Length": "16777216"}]
    )


class PartTickets(Schema):
    """Presigned parts."""

    part_list: list[PartTicket] = Field(description="One for each requested number.", examples=[[]])


class StoredPart(Schema):
    """A part in the store."""

    part_number: int = Field(description="The part number.", examples=[1])
    etag: str = Field(description="The ETag that the store assigned.", examples=['"9f86d081884c7d65"'])
    size: int = Field(description="Size in bytes.", examples=[16_777_216])


class StoredParts(Schema):
    """The parts in the store, to resume an upload."""

    part_list: list[StoredPart] = Field(description="The parts, in ascending order of their numbers.", examples=[[]])


class NamedPart(Schema):
    """An uploaded part with the ETag of its PUT response."""

    part_number: PartNumber = Field(description="The part number.", examples=[1])
    etag: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=256)] = Field(
        description="The ETag of the PUT response.", examples=['"9f86d081884c7d65"']
    )


class MultipartCompletion(Multipart):
    """The parts that make up the file, to complete a multipart upload."""

    part_list: Annotated[LongList[NamedPart], Field(min_length=1), *at_most(MAX_PARTS)] = Field(
        description="Every part, ascending.", examples=[[{"part_number": 1, "etag": '"9f86d081884c7d65"'}]]
    )
