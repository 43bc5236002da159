"""API schemas of folder models."""

from typing import Annotated

from pydantic import Field, StringConstraints

from modelyard.wire.folders.names import MAX_FILES
from modelyard.wire.long_lists import LongList, at_most
from modelyard.wire.schemas import EXAMPLE_HASH, EXAMPLE_KEY, EXAMPLE_PAGE, PageMeta, Schema, StorageKey

EXAMPLE_PATH = "text_encoder/model.safetensors"
FilePath = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=400)]


class NewFolderFile(Schema):
    """A file of a folder model to register, and its upload."""

    path: FilePath = Field(description="Its path within the folder.", examples=[EXAMPLE_PATH])
    storage_key: StorageKey = Field(
        description="The object key that presign returned; equal files may share one.", examples=[EXAMPLE_KEY]
    )


NewFolderFiles = Annotated[LongList[NewFolderFile], Field(min_length=1), *at_most(MAX_FILES)]


class FolderFileEntry(Schema):
    """A file of a folder model."""

    path: str = Field(description="Its path within the folder.", examples=[EXAMPLE_PATH])
    file_size: int = Field(description="Bytes of the file.", examples=[246_144_152])
    file_hash: str = Field(description="`sha256:` and the hex digest.", examples=[EXAMPLE_HASH])
    download_url: str = Field(
        description="A URL for GET requests; supports ranges.", examples=["http://127.0.0.1:8400/blobs/…"]
    )
    is_doubtful: bool = Field(
        False,
        description="Whether the stored file was changed since its verification: it is served, and verified again. "
        "Push the same file again to replace it.",
        examples=[False],
    )


class FolderFileList(Schema):
    """A page of the files of a version of a model, sorted by path; the pages of a cursor are all of one version."""

    version: int = Field(description="The version that has these files.", examples=[3])
    file_hash: str = Field(
        description="The content hash of the version, as in its record; of a folder, that of its manifest.",
        examples=[EXAMPLE_HASH],
    )
    file_list: list[FolderFileEntry] = Field(description="The files.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[EXAMPLE_PAGE])
