"""API schemas of links to models at Hugging Face, Civitai or an https address, and of the drafts of their imports."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from modelyard.wire.schemas import EXAMPLE_HASH, Schema
from modelyard.wire.texts.rules import INVISIBLE

SourceKind = Literal["huggingface", "civitai", "direct"]
# Of a repository with more files, the others are left out.
MAX_SOURCE_FILES = 200

EXAMPLE_LINK = "https://huggingface.co/studio/ink/blob/main/ink.safetensors"
EXAMPLE_PINNED = "https://huggingface.co/studio/ink/resolve/1f2e3d4c5b6a79880f1e2d3c4b5a69788f1e2d3c/ink.safetensors"
# Also `hf://` addresses and AIR names, so no pattern of an address.
Link = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=2000, pattern=rf"^[^{INVISIBLE}]+$")]


class ImportLink(Schema):
    """A link to look up."""

    url: Link = Field(
        description="A page, file or folder at Hugging Face (also `hf://`), a model or version at Civitai (also its "
        "AIR), or the https address of a file.",
        examples=[EXAMPLE_LINK],
    )


class ImportSource(Schema):
    """Where a file is."""

    kind: SourceKind = Field(description="Which kind of source it is.", examples=["huggingface"])
    page_url: str = Field(description="A page for people about the file.", examples=[EXAMPLE_LINK])
    name: str = Field(description="What the source calls the model.", examples=["studio/ink"])
    revision: str | None = Field(
        description="Hugging Face's commit, or the id of Civitai's version.", examples=["1f2e3d4c5b6a7988"]
    )


class SourceFile(Schema):
    """A model file of a source."""

    url: str = Field(description="The link of exactly this file.", examples=[EXAMPLE_PINNED])
    name: str = Field(description="Its name or path at the source.", examples=["ink.safetensors"])
    size: int | None = Field(
        description="Its size in bytes; null if the source does not say it exactly.", examples=[228_455_604]
    )
    file_name: str = Field(description="Its name as `file_name` of its draft.", examples=["ink.safetensors"])
    model_type: str = Field(description="The ComfyUI models sub-directory that probably fits.", examples=["loras"])
    sha256: str | None = Field(
        description="`sha256:` and the hex digest; null if the source does not declare it.", examples=[EXAMPLE_HASH]
    )


class SourceHashes(Schema):
    """The hashes that the source declares for a file."""

    sha256: str | None = Field(description="`sha256:` and the hex digest.", examples=[EXAMPLE_HASH])


class ImportDraft(Schema):
    """What an import of a link would register, to be confirmed or changed."""

    url: str = Field(
        description="The link of exactly this content: of a commit, or of one file of a version.",
        examples=[EXAMPLE_PINNED],
    )
    source: ImportSource = Field(
        description="Where the file is.",
        examples=[{"kind": "huggingface", "page_url": EXAMPLE_LINK, "name": "studio/ink", "revision": None}],
    )
    file_list: list[SourceFile] = Field(
        description="The model files of the repository, folder or version, of which the draft is about one; look up "
        f"the `url` of another one for its draft. At most {MAX_SOURCE_FILES}.",
        examples=[[]],
    )
    is_complete: bool = Field(
        default=True,
        description="Whether `file_list` has all model files of the repository, folder or version; false if it is cut, "
        "and for a link to one file of a repository.",
        examples=[True],
    )
    file_name: str = Field(description="The file's name.", examples=["ink.safetensors"])
    size: int | None = Field(
        description="Its size in bytes; null if the source does not say it.", examples=[228_455_604]
    )
    hashes: SourceHashes = Field(description="Its hashes.", examples=[{"sha256": EXAMPLE_HASH}])
    display_name: str = Field(description="A name for people.", examples=["ink"])
    model_type: str = Field(description="The ComfyUI models sub-directory that probably fits.", examples=["loras"])
    model_path: str = Field(description="A path in it.", examples=["loras/ink.safetensors"])
    base_model: str | None = Field(description="What the source says it is based on.", examples=["Pony"])
    trigger_words: list[str] = Field(description="The words that the source declares.", examples=[["inkwash"]])
    license: str | None = Field(description="The license that the source names.", examples=["cc-by-4.0"])
