"""API schemas of models."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StringConstraints

from modelyard.wire.folders.schemas import NewFolderFiles
from modelyard.wire.model_details import (
    BaseModelName,
    BaseSource,
    FactSource,
    ModelDetails,
    Sidecar,
    TrainingTag,
    TriggerTexts,
    TriggerWord,
)
from modelyard.wire.pickles.conversions import DerivedFrom
from modelyard.wire.schemas import (
    EXAMPLE_HASH,
    EXAMPLE_ID,
    EXAMPLE_KEY,
    EXAMPLE_PAGE,
    EXAMPLE_TIME,
    Bytes,
    Created,
    FileHash,
    LongName,
    ModelPathText,
    ModelType,
    Note,
    PageMeta,
    PartialUpdate,
    Schema,
    StorageKey,
)
from modelyard.wire.texts.rules import INVISIBLE, LINE_PATTERN, NAME_PATTERN, check_is_readable
from modelyard.wire.versions import EXAMPLE_PREVIEW, Creator, PendingVersion, Verification, VersionNumber

ModelStatus = Literal["active", "disabled"]
Tag = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=64, pattern=NAME_PATTERN),
    BeforeValidator(check_is_readable),
]
MAX_LABEL_LENGTH = 64
LABEL_PATTERN = rf"^[A-Za-z0-9._-]{{1,{MAX_LABEL_LENGTH}}}$"
Label = Annotated[str, StringConstraints(strict=True, pattern=LABEL_PATTERN)]


def _remove_duplicates(names: list[str]) -> list[str]:
    """Return each name once, in the order of first appearance."""
    return list(dict.fromkeys(names))


def _remove_respelled(tags: list[str]) -> list[str]:
    """Return each tag once, in the spelling and order of its first appearance in any letter case."""
    spellings: dict[str, str] = {}
    for tag in tags:
        spellings.setdefault(tag.casefold(), tag)
    return list(spellings.values())


Tags = Annotated[list[Tag], Field(max_length=64), AfterValidator(_remove_respelled)]
Labels = Annotated[list[Label], Field(max_length=32), AfterValidator(_remove_duplicates)]
License = Annotated[str, StringConstraints(strict=True, max_length=200, pattern=LINE_PATTERN)]
Author = Annotated[str, StringConstraints(strict=True, max_length=200, pattern=LINE_PATTERN)]
# The page shows it as a link, and other schemes could run a script.
SourceUrl = Annotated[str, StringConstraints(strict=True, max_length=2000, pattern=rf"^https?://[^{INVISIBLE}]+$")]


class ModelNotes(Schema):
    """Optional descriptive fields of a model."""

    description: Note | None = Field(
        default=None, description="Free text, up to 10,000 characters.", examples=["Our house style."]
    )
    license: License | None = Field(
        default=None,
        description="The name or SPDX id of a license, for all versions; takes precedence over what the file or a "
        "sidecar says, and null returns to that.",
        examples=["CC-BY-4.0"],
    )
    author: Author | None = Field(
        default=None,
        description="Who made it, for all versions; takes precedence over what the file or a sidecar says, and null "
        "returns to that.",
        examples=["Ada Lovelace"],
    )
    source_url: SourceUrl | None = Field(
        default=None, description="The URL that the file came from.", examples=["https://models.example/42"]
    )
    base_model: BaseModelName | None = Field(
        default=None,
        description="What it is based on, for all versions; takes precedence over what the file says, and null returns "
        "to that.",
        examples=["Pony"],
    )
    trigger_words: TriggerTexts | None = Field(
        default=None,
        description="Up to 50 words or phrases that make it take effect, for all versions; they replace those of the "
        "file, and null returns to those.",
        examples=[["inkwash", "ink wash style"]],
    )


class ModelDescription(ModelNotes):
    """Fields that registrations and imports have in common: the name and notes of the model."""

    display_name: LongName = Field(description="1 to 255 characters, kept as sent.", examples=["SDXL Base 1.0"])
    keeps_name: StrictBool = Field(
        default=False,
        description="`display_name` is only for a new model: one that exists already keeps its own. Set it if no "
        "person entered the name, so that a push does not undo a rename.",
        examples=[True],
    )


class NewModel(ModelDescription):
    """A model to register after its file was uploaded."""

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
        "one, or never was one with this number, the request is refused with 409 `version-conflict`.",
        examples=[3],
    )
    sidecar: Sidecar | None = Field(
        default=None,
        description="What a file beside this one declares of it, for this version. What a person enters, and a trigger "
        "phrase in the file itself, take precedence.",
        examples=[{"base_model": "Pony", "trigger_words": ["inkwash"]}],
    )
    file_list: NewFolderFiles | None = Field(
        default=None,
        description="The files of a folder model. `storage_key`, `file_size` and `file_hash` are then those of its "
        'manifest: RFC 8785 JSON of `{"v":1,"files":[{"path","sha256","size"}]}`, sorted by the UTF-8 bytes of '
        "the paths.",
        examples=[None],
    )
    note: Note | None = Field(
        default=None, description="What is new in this version.", examples=["Trained on 40 more pictures."]
    )


class IgnoredField(Schema):
    """A field of a registration that was not applied, because the model exists already with another value."""

    field: str = Field(
        description="The field of the request: `model_path`, `model_type`, `file_size`, or one that later releases "
        "add.",
        examples=["model_path"],
    )
    sent: str | int = Field(description="The value that was sent.", examples=["loras/INK.safetensors"])
    kept: str | int = Field(description="The value that the model has.", examples=["loras/ink.safetensors"])


class RegisteredModel(Created):
    """The id of a registered model, and what it keeps although the request has another value."""

    ignored_list: list[IgnoredField] = Field(
        default_factory=list,
        description="Fields whose value differs from the model's and that a registration never changes: the spelling "
        "of its path and type, and the size of a version that is being verified. Absent if there is none.",
        examples=[[{"field": "model_path", "sent": "loras/INK.safetensors", "kept": "loras/ink.safetensors"}]],
        exclude_if=lambda ignored: not ignored,
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


class NewerAtSource(Schema):
    """A newer version of a model at its source."""

    revision: str = Field(
        description="Hugging Face's commit, or the id of Civitai's version.", examples=["1f2e3d4c5b6a7988"]
    )
    name: str = Field(description="What the source calls it.", examples=["Ink Portraits v3.0"])
    url: str = Field(
        description="A link of it, for `POST /imports/resolve`.", examples=["https://civitai.com/models/111"]
    )
    checked_at: datetime = Field(description="When the source said so.", examples=[EXAMPLE_TIME])


class SourceCheck(Schema):
    """What the source of a model says about newer versions."""

    newer_at_source: NewerAtSource | None = Field(
        description="The newest version there; null if the model is that one.", examples=[None]
    )
    checked_at: datetime = Field(description="When the source was asked.", examples=[EXAMPLE_TIME])


class HubFile(Schema):
    """A file of a repository at the registry's Hugging Face endpoint, or a repository that is a folder."""

    repository: str = Field(description="The repository's id.", examples=["team/loras__ink.safetensors"])
    path: str = Field(
        description="The path of the file in it; empty for a folder, whose files are in it at their own paths.",
        examples=["ink.safetensors"],
    )


class Model(Schema):
    """A registered model."""

    id: UUID = Field(description="The model's id.", examples=[EXAMPLE_ID])
    display_name: str = Field(description="Its name, as sent.", examples=["SDXL Base 1.0"])
    model_type: str = Field(description="The ComfyUI models sub-directory, as sent.", examples=["checkpoints"])
    storage_key: str = Field(description="The object key of its upload.", examples=[EXAMPLE_KEY])
    file_size: int = Field(description="Bytes of the file; of a folder, of its manifest.", examples=[6_800_000_000])
    file_hash: str = Field(
        description="`sha256:` and the hex digest; of a folder, of its manifest.", examples=[EXAMPLE_HASH]
    )
    is_folder: bool = Field(
        default=False, description="It has many files; list them with `GET /models/{id}/files`.", examples=[False]
    )
    total_size: int | None = Field(
        default=None, description="Bytes of all files of a folder; null for one file.", examples=[None]
    )
    file_count: int | None = Field(
        default=None, description="How many files a folder has; null for one file.", examples=[None]
    )
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
    verification_error: str | None = Field(
        description="Why verification failed, or why it has to be tried again.", examples=[None]
    )
    blake3_hash: str | None = Field(
        description="`blake3:` and the hex digest, once verified.", examples=["blake3:af13…"]
    )
    created_by: Creator = Field(
        description="Who registered it.", examples=[{"kind": "user", "id": None, "display_name": "Ada"}]
    )
    preview_url: str | None = Field(
        description="The path of its picture: that of the version it shows, or of the newest earlier one that has one.",
        examples=[EXAMPLE_PREVIEW],
    )
    preview_color: str | None = Field(description="The average colour of the picture.", examples=["#7a5c3e"])
    description: str | None = Field(description="Free text.", examples=["Our house style."])
    tags: list[str] = Field(description="Its tags.", examples=[["portrait"]])
    license: str | None = Field(
        description="The name or SPDX id of a license; null if unknown.", examples=["CC-BY-4.0"]
    )
    license_source: FactSource | None = Field(
        default=None,
        description="Where that comes from. `person`: a user entered it. `file`: the file declares it. `sidecar`: a "
        "file beside the uploaded one, or the source of an import, declared it. Null if unknown.",
        examples=["person"],
    )
    author: str | None = Field(default=None, description="Who made it; null if unknown.", examples=["Ada Lovelace"])
    author_source: FactSource | None = Field(
        default=None, description="Where that comes from, as `license_source`.", examples=["file"]
    )
    source_url: str | None = Field(
        description="The URL that the file came from.", examples=["https://models.example/42"]
    )
    newer_at_source: NewerAtSource | None = Field(
        default=None,
        description="A newer version at its source, as the last check found it; null if there was none, or no check.",
        examples=[None],
    )
    base_model: str | None = Field(
        description="What it is based on, by the name that Civitai uses, or as a person wrote it; null if unknown.",
        examples=["Pony"],
    )
    base_source: BaseSource | None = Field(
        description="Where that comes from. `person`: a user entered it. `sidecar`: a file beside the uploaded one. "
        "`metadata`, `file_name`: these refine what the tensors show. `tensors`: the tensors show it, whatever else "
        "says so. `sidecar`, `metadata` and `file_name` are claims, which may be wrong. Null if unknown.",
        examples=["metadata"],
    )
    trigger_words: list[TriggerWord] = Field(
        description="Words or phrases that make it take effect, best first.",
        examples=[[{"text": "inkwash", "source": "file"}]],
    )
    has_own_trigger_words: bool = Field(
        description="Whether a person entered the trigger words, or that there are none, in place of the file's.",
        examples=[False],
    )
    training_tags: list[TrainingTag] = Field(
        description="Up to 50 tags of its training pictures, most frequent first; lists of models leave it empty.",
        examples=[[{"text": "ink wash", "share": 0.96}]],
    )
    details: ModelDetails = Field(
        description="The metadata that the file declares.", examples=[{"author": "Ada Lovelace", "rank": "32"}]
    )
    required_labels: list[str] = Field(
        description="Only machines with all of these labels get the model.", examples=[["gpu24"]]
    )
    agents_ready: int = Field(
        description="Number of machines on which it is ready, also of those whose ComfyUI does not load it.",
        examples=[3],
    )
    agents_unloaded: int = Field(
        description="Number of machines on which it is ready, but whose ComfyUI does not load it.", examples=[1]
    )
    agents_desired: int = Field(description="Number of machines that should have it.", examples=[4])
    last_used_at: datetime | None = Field(
        description="When a prompt of a machine's ComfyUI used it last; null if no use is known.",
        examples=[EXAMPLE_TIME],
    )
    derived_from: DerivedFrom | None = Field(
        description="The pickle file that its content was converted from; null if it was not.", examples=[None]
    )
    hub_file: HubFile | None = Field(
        default=None,
        description="Where the Hugging Face endpoint `/hf` has the current version: the file that it was imported "
        "from if `main` has it there, else one in the namespace `team`. Null if it has not, and in lists.",
        examples=[{"repository": "team/loras__ink.safetensors", "path": "ink.safetensors"}],
    )
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

    @property
    def content_size(self) -> int:
        """Bytes of its file, or of all files of a folder."""
        return self.file_size if self.total_size is None else self.total_size

    @property
    def is_damaged(self) -> bool:
        """Whether the content was verified once, and its stored bytes have changed or are missing since.

        A model that has never had a current version shows its pending one, which was never verified.
        """
        shows_pending = self.pending_version is not None and self.pending_version.version == self.version
        return self.verification == "failed" and not shows_pending


class ModelList(Schema):
    """A page of models."""

    model_list: list[Model] = Field(description="The models.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[EXAMPLE_PAGE])
    did_you_mean: str | None = Field(
        default=None,
        description="On the first page of a search that finds nothing: the same search with a similar word or value, "
        "which finds models; absent if there is none. If `model_type` is a near miss of a known type, it has that type "
        "as `type:`: send it as `q` without `model_type`.",
        examples=["ink"],
        exclude_if=lambda similar: similar is None,
    )


class DownloadTicket(Schema):
    """A presigned download URL."""

    download_url: str = Field(
        description="A URL for GET requests; supports ranges.", examples=["http://127.0.0.1:8400/blobs/…"]
    )
    expires_at: datetime = Field(description="When the URL expires.", examples=[EXAMPLE_TIME])
    is_doubtful: bool = Field(
        False,
        description="Whether the stored file was changed since its verification: it is served, and verified again. "
        "Push the same file again to replace it.",
        examples=[False],
    )
