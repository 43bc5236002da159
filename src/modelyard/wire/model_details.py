"""API schemas of what a model is: its base model, trigger words, and what its trainer recorded."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from modelyard.wire.schemas import Schema
from modelyard.wire.texts.rules import NAME_PATTERN, check_is_readable

BaseSource = Literal["person", "sidecar", "metadata", "file_name", "tensors"]
# What the tensors of the file do not prove, and no person has entered: it may be wrong, and is shown as such.
CLAIMED_BASE_SOURCES: tuple[BaseSource, ...] = ("sidecar", "metadata", "file_name")
TriggerSource = Literal["person", "file", "sidecar", "folder", "guess"]
# Where the license and the author come from.
FactSource = Literal["person", "file", "sidecar"]
MAX_TRIGGER_WORDS = 50


def _strip_and_check(text: object) -> object:
    """Return the text without spaces at its ends; raise a readable error for one that has nothing visible."""
    return check_is_readable(text.strip() if isinstance(text, str) else text)


BaseModelName = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=100, pattern=NAME_PATTERN),
    BeforeValidator(_strip_and_check),
]
TriggerText = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=500, pattern=NAME_PATTERN),
    BeforeValidator(_strip_and_check),
]


def _remove_duplicates(texts: list[str]) -> list[str]:
    """Return each text once, in the order of first appearance."""
    return list(dict.fromkeys(texts))


TriggerTexts = Annotated[list[TriggerText], Field(max_length=MAX_TRIGGER_WORDS), AfterValidator(_remove_duplicates)]


MAX_SIDECAR_TEXT_LENGTH, MAX_SIDECAR_WORDS = 5_000, 200
# Other programs write these files, so texts are cleaned and cut at the registry instead of refused.
SidecarText = Annotated[str, StringConstraints(strict=True, max_length=MAX_SIDECAR_TEXT_LENGTH)]


class Sidecar(Schema):
    """What a file beside an uploaded one declares of it, such as `.civitai.info`."""

    base_model: SidecarText | None = Field(
        default=None,
        description="What the model is based on; ignored if its tensors show something else.",
        examples=["Pony"],
    )
    trigger_words: list[SidecarText] = Field(
        default_factory=list, max_length=MAX_SIDECAR_WORDS, description="Its trigger words.", examples=[["inkwash"]]
    )
    license: SidecarText | None = Field(
        default=None, description="Its license; ignored if the file declares one.", examples=["CC-BY-4.0"]
    )
    author: SidecarText | None = Field(
        default=None, description="Its author; ignored if the file declares one.", examples=["Ada Lovelace"]
    )


class TriggerWord(Schema):
    """A word or phrase that makes a model take effect when a prompt has it."""

    text: str = Field(description="The word or phrase.", examples=["inkwash"])
    source: TriggerSource = Field(
        description="`person`: a user entered it. `file`: the file declares it. `sidecar`: a file beside the "
        "uploaded one declared it. `folder`: the training's class word or folder name. `guess`: nearly every training "
        "picture was tagged with it, so it probably is one.",
        examples=["file"],
    )


class TrainingTag(Schema):
    """A tag of the pictures that a model was trained on."""

    text: str = Field(description="The tag.", examples=["ink wash"])
    share: float = Field(description="The share of the pictures that had it, from 0 to 1.", examples=[0.96])


class ModelDetails(Schema):
    """The metadata that a file declares; null where it does not."""

    author: str | None = Field(default=None, description="Its author.", examples=["Ada Lovelace"])
    license: str | None = Field(default=None, description="Its license.", examples=["CC-BY-4.0"])
    usage_hint: str | None = Field(default=None, description="How to use it.", examples=["Strength 0.6 to 0.9."])
    resolution: str | None = Field(
        default=None, description="The resolution of the training in pixels.", examples=["1024x1024"]
    )
    network: str | None = Field(default=None, description="The kind of network of a LoRA.", examples=["LoRA"])
    rank: str | None = Field(default=None, description="The rank (dimension) of a LoRA.", examples=["32"])
    alpha: str | None = Field(default=None, description="The alpha of a LoRA.", examples=["16"])
    prediction_type: str | None = Field(
        default=None, description="`v` or `epsilon`: what the model predicts.", examples=["epsilon"]
    )
    trainer: str | None = Field(default=None, description="The program that trained it.", examples=["sd-scripts"])
    image_count: int | None = Field(default=None, description="Number of training pictures.", examples=[48])
    steps: int | None = Field(default=None, description="Number of training steps.", examples=[2400])
