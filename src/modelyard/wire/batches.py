"""API schemas of requests for many files at once, whose items succeed or fail one by one.

The items of a received batch are the values of the JSON body, which the registry validates one by one.
"""

from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from pydantic import Field, SkipValidation

from modelyard.wire.imports.drafts import EXAMPLE_PINNED
from modelyard.wire.imports.jobs import NewImport
from modelyard.wire.long_lists import MAX_BATCH_ITEMS
from modelyard.wire.models import DownloadTicket, NewModel, RegisteredModel
from modelyard.wire.schemas import EXAMPLE_HASH, EXAMPLE_ID, EXAMPLE_KEY, EXAMPLE_TIME, Created, ProblemBody, Schema
from modelyard.wire.uploads import UploadRequest, UploadTicket
from modelyard.wire.versions import VersionNumber

Item = TypeVar("Item", bound=Schema)
_EXAMPLE_FILE = {
    "file_size": 1_048_576,
    "model_type": "loras",
    "model_path": "loras/ink.safetensors",
    "file_hash": EXAMPLE_HASH,
}
_EXAMPLE_TICKET = {
    "status": 200,
    "upload_url": "http://127.0.0.1:8400/blobs/…",
    "storage_key": EXAMPLE_KEY,
    "upload_headers": {"If-None-Match": "*"},
    "expires_at": EXAMPLE_TIME,
    "multipart_required": False,
    "multipart_recommended": False,
    "already_stored": False,
    "hash_first": False,
}


Items = Annotated[list[SkipValidation[Item]], Field(min_length=1, max_length=MAX_BATCH_ITEMS)]


def _refer_to(schema: type[Schema]) -> dict[str, Any]:
    """Return the JSON schema of a list of items that are validated later, which the framework would write out."""
    return {"items": {"$ref": f"#/components/schemas/{schema.__name__}"}}


class UploadBatch(Schema):
    """Files to upload. Each is validated for itself: an invalid one does not affect the others."""

    upload_list: Items[UploadRequest] = Field(
        description=f"1 to {MAX_BATCH_ITEMS} bodies of `POST /models/presign`.",
        examples=[[_EXAMPLE_FILE | {"file_name": "ink.safetensors"}]],
        json_schema_extra=_refer_to(UploadRequest),
    )


class UploadResult(UploadTicket):
    """A presigned upload of a batch."""

    status: Literal[200] = Field(description="The status of the single request.", examples=[200])


class UploadResults(Schema):
    """What became of each file of a batch."""

    result_list: list[UploadResult | ProblemBody] = Field(
        description="One for each file, in their order: the answer of `POST /models/presign`, or its problem.",
        examples=[[_EXAMPLE_TICKET]],
    )


class ModelBatch(Schema):
    """Models to register. Each is validated for itself: an invalid one does not affect the others."""

    model_list: Items[NewModel] = Field(
        description=f"1 to {MAX_BATCH_ITEMS} bodies of `POST /models`.",
        examples=[[_EXAMPLE_FILE | {"display_name": "Ink", "storage_key": EXAMPLE_KEY}]],
        json_schema_extra=_refer_to(NewModel),
    )


class ModelResult(RegisteredModel):
    """A registered model of a batch."""

    status: Literal[200, 201] = Field(
        description="The status of the single request: 201 for a new model, 200 for one that existed before.",
        examples=[201],
    )


class ModelResults(Schema):
    """What became of each model of a batch."""

    result_list: list[ModelResult | ProblemBody] = Field(
        description="One for each model, in their order: the answer of `POST /models`, or its problem.",
        examples=[[{"status": 201, "id": EXAMPLE_ID}]],
    )


class DownloadRequest(Schema):
    """A version of a model to download."""

    model_id: UUID = Field(description="The model's id.", examples=[EXAMPLE_ID])
    version: VersionNumber | None = Field(
        default=None, description="Which version; without it the current one.", examples=[3]
    )


class DownloadBatch(Schema):
    """Files to download. Each is validated for itself: an invalid one does not affect the others."""

    download_list: Items[DownloadRequest] = Field(
        description=f"1 to {MAX_BATCH_ITEMS} models, or versions of models.",
        examples=[[{"model_id": EXAMPLE_ID}]],
        json_schema_extra=_refer_to(DownloadRequest),
    )


class DownloadResult(DownloadTicket):
    """A presigned download of a batch."""

    status: Literal[200] = Field(description="The status of the single request.", examples=[200])


class DownloadResults(Schema):
    """What became of each download of a batch."""

    result_list: list[DownloadResult | ProblemBody] = Field(
        description="One for each model, in their order: the answer of `GET /models/{model_id}/download`, or its "
        "problem.",
        examples=[
            [
                {
                    "status": 200,
                    "download_url": "http://127.0.0.1:8400/blobs/…",
                    "expires_at": EXAMPLE_TIME,
                    "is_doubtful": False,
                }
            ]
        ],
    )


class ImportBatch(Schema):
    """Imports to start. Each is validated for itself: an invalid one does not affect the others."""

    import_list: Items[NewImport] = Field(
        description=f"1 to {MAX_BATCH_ITEMS} bodies of `POST /imports`, such as one for each chosen file of the "
        "`file_list` of a draft.",
        examples=[
            [
                {
                    "url": EXAMPLE_PINNED,
                    "file_size": 1_048_576,
                    "display_name": "Ink",
                    "model_type": "loras",
                    "model_path": "loras/ink.safetensors",
                }
            ]
        ],
        json_schema_extra=_refer_to(NewImport),
    )


class ImportResult(Created):
    """A started import of a batch."""

    status: Literal[200, 201] = Field(
        description="The status of the single request: 201 for a new import, 200 for one that is queued or running "
        "already.",
        examples=[201],
    )


class ImportResults(Schema):
    """What became of each import of a batch."""

    result_list: list[ImportResult | ProblemBody] = Field(
        description="One for each import, in their order: the answer of `POST /imports`, or its problem.",
        examples=[[{"status": 201, "id": EXAMPLE_ID}]],
    )
