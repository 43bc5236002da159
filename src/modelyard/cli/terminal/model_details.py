"""What a model is, for people: base model, trigger words, training tags and details of the training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelyard.cli.terminal.output import Output
    from modelyard.wire.model_details import TrainingTag
    from modelyard.wire.models import Model

BaseModelOption = Annotated[
    str | None,
    typer.Option("--base-model", help="What it is based on; an empty text returns to what the file says."),
]
TriggerWordsOption = Annotated[
    str | None,
    typer.Option(
        "--trigger-words", help="Its trigger words, with commas between; an empty text returns to those of the file."
    ),
]
LicenseOption = Annotated[
    str | None,
    typer.Option("--license", help="A licence's name or SPDX id; an empty text returns to what the file says."),
]
AuthorOption = Annotated[
    str | None, typer.Option("--author", help="Who made it; an empty text returns to what the file says.")
]
_SOURCES = {
    "person": "entered by a person",
    "file": "declared by the file",
    "sidecar": "claimed by its source, or by a file beside it",
    "metadata": "claimed by the file's metadata",
    "file_name": "a guess from the file's name",
    "tensors": "from the tensors",
}
# Training tags that are printed unless all are asked for.
_SHOWN_TAGS = 3
# What the file says is a field of the record, unless a person has entered something else.
OWN_LINES = ("base_model", "base_source", "trigger_words")
# Metadata of the file that has the name of a field of the record, which a search finds.
METADATA_NAMES = {"tags": "file's tags"}


def warn_of_near_miss(output: Output, base_model: str | None) -> None:
    """Print what was probably meant if a base model is a near miss of a known one; it is not refused.

    A known name, a new one, an empty text and None print nothing.
    """
    from modelyard.wire.base_models.spellings import suggest_base_model

    known = suggest_base_model(base_model) if base_model else None
    if known is not None:
        happened = f"'{base_model}' is no name of a known base model. It is kept as you wrote it."
        output.warn(f"{happened} Did you mean '{known}'?")


def split_words(text: str) -> list[str]:
    """Return trigger words or tags that commas separate; of an empty text one empty word."""
    return [word.strip() for word in text.split(",") if word.strip()] or [""]


def split_tags(texts: Sequence[str]) -> list[str]:
    """Return the tags of options, each of which may have several that commas separate."""
    return [tag for text in texts for tag in split_words(text)]


def change_tags(tags: Sequence[str], added: Sequence[str], removed: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return a model's tags after a change, and the removed ones that it does not have.

    Letter case is ignored, and so are spaces around tags. A stored tag with a comma is removed by its whole text.
    """
    known = {_fold(tag) for tag in tags}
    dropped = [word for text in removed for word in ([text] if _fold(text) in known else split_words(text)) if word]
    spellings = {_fold(word) for word in dropped}
    left = [tag for tag in [*tags, *split_tags(added)] if _fold(tag) not in spellings]
    return left, [word for word in dropped if _fold(word) not in known]


def _fold(tag: str) -> str:
    """Return what all spellings of a tag share; older releases stored spaces around tags."""
    return tag.strip().casefold()


def format_model_details(model: Model, *, all_tags: bool = False) -> list[tuple[str, str]]:
    """Return names and values of what the model is; values are empty where it is unknown."""
    details = model.details
    network = [details.network, details.rank and f"rank {details.rank}", details.alpha and f"alpha {details.alpha}"]
    training = [
        details.trainer,
        details.image_count and f"{details.image_count} pictures",
        details.steps and f"{details.steps} steps",
        details.resolution,
        details.prediction_type and f"{details.prediction_type}-prediction",
    ]
    return [
        ("base model", _format_base_model(model)),
        ("trigger words", ", ".join(_format_word(word.text, word.source) for word in model.trigger_words)),
        ("file says", _format_file_values(model)),
        ("network", ", ".join(part for part in network if part)),
        ("training", ", ".join(part for part in training if part)),
        ("training tags", _format_tags(model.training_tags, all_tags=all_tags)),
        ("usage hint", details.usage_hint or ""),
        ("author", _format_with_source(model.author, model.author_source)),
        ("license", _format_with_source(model.license, model.license_source)),
    ]


def is_base_claimed(model: Model) -> bool:
    """Return whether the base model is only claimed: neither shown by the tensors nor entered by a person."""
    from modelyard.wire.model_details import CLAIMED_BASE_SOURCES

    return model.base_source in CLAIMED_BASE_SOURCES


def mark_base_model(model: Model) -> str:
    """Return the base model with a question mark if it is only claimed; empty if it is unknown."""
    return f"{model.base_model or ''}{'?' if is_base_claimed(model) else ''}"


def mark_trigger_words(model: Model) -> str:
    """Return the trigger words with commas between, each guess with a question mark."""
    return ", ".join(f"{word.text}{'?' if word.source == 'guess' else ''}" for word in model.trigger_words)


def _format_with_source(text: str | None, source: str | None) -> str:
    """Return a text with its source in words; empty if there is none. Servers of earlier releases send no source."""
    return f"{text} ({_SOURCES[source]})" if text and source else text or ""


def _format_base_model(model: Model) -> str:
    """Return the base model with its source in words, or that it is unknown."""
    if model.base_model is None or model.base_source is None:
        return "unknown"
    probably = "probably: " if is_base_claimed(model) else ""
    return f"{model.base_model} ({probably}{_SOURCES[model.base_source]})"


def _format_word(text: str, source: str) -> str:
    """Return a trigger word; a guess says so."""
    return f"{text} (probably)" if source == "guess" else text


def _format_file_values(model: Model) -> str:
    """Return the file's values that a person's take precedence over; empty if there are none."""
    metadata: dict[str, Any] = model.metadata
    parts = []
    if model.base_source == "person" and metadata.get("base_model"):
        parts.append(str(metadata["base_model"]))
    own = {"author": model.author_source, "license": model.license_source}
    declared = {name: getattr(model.details, name) for name, source in own.items() if source == "person"}
    parts.extend(f"{name} {text}" for name, text in declared.items() if text)
    words = metadata.get("trigger_words")
    if any(word.source == "person" for word in model.trigger_words) and isinstance(words, list):
        parts.extend(_format_word(word["text"], word["source"]) for word in words if isinstance(word, dict))
    return ", ".join(parts)


def _format_tags(tags: Sequence[TrainingTag], *, all_tags: bool) -> str:
    """Return the tags with their shares; unless all are asked for, the first ones and the number of others."""
    shown = tags if all_tags else tags[:_SHOWN_TAGS]
    text = ", ".join(f"{tag.text} {tag.share:.0%}" for tag in shown)
    return text if len(shown) == len(tags) else f"{text} and {len(tags) - len(shown)} more (--training-tags)"
