"""Metadata that trainers and tools write into a model: base model, tags, trigger words, licence.

Known writers: kohya-ss sd-scripts (``ss_*``), the Stability model specification (``modelspec.*``), diffusers, mflux.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelyard.server.inspection import json_limits
from modelyard.server.inspection.metadata import clean_entries, clean_list, clean_text

# Above this a tag table is not parsed: the largest real ones have some hundred KiB.
MAX_TAG_TABLE = 2 * 1024 * 1024
TOP_TAGS = 20

# Entries in which a file claims a hash of its content.
CLAIM_NAMES = ("modelspec.hash_sha256", "sshs_model_hash", "sshs_legacy_hash")
_STORED_KEYS = (
    "modelspec.title",
    "modelspec.architecture",
    "modelspec.implementation",
    "modelspec.author",
    "modelspec.license",
    "modelspec.description",
    "modelspec.usage_hint",
    "modelspec.date",
    "modelspec.resolution",
    "modelspec.prediction_type",
    "modelspec.trigger_phrase",
    "modelspec.merged_from",
    "modelspec.sai_model_spec",
    "ss_base_model_version",
    "ss_sd_model_name",
    "ss_output_name",
    "ss_network_module",
    "ss_network_dim",
    "ss_network_alpha",
    "ss_resolution",
    "ss_num_train_images",
    "ss_num_epochs",
    "ss_v2",
    "format",
    *CLAIM_NAMES,
)


@dataclass(frozen=True)
class TrainingMetadata:
    """Declared metadata, cleaned and truncated; ``base_model`` and ``architecture`` are the file's unchecked claims."""

    base_model: str
    architecture: str | None
    tags: list[str]
    trigger_words: list[str]
    entries: dict[str, Any]


def parse_training_metadata(metadata: Mapping[str, str]) -> TrainingMetadata:
    """Select and clean the known entries of a safetensors ``__metadata__``; at most 20 tags and 20 trigger words.

    Both are the declared ones, then the most frequent tags of the training. ``base_model`` is in lower case. Never
    raises: a tag table that cannot be parsed counts as empty.
    """
    frequent = _parse_tag_frequency(metadata.get("ss_tag_frequency", ""))
    phrase = metadata.get("modelspec.trigger_phrase", "")[:4_000]
    listed_tags = metadata.get("modelspec.tags", "")[:4_000]
    architecture = clean_text(metadata.get("modelspec.architecture", ""), 100)
    return TrainingMetadata(
        base_model=clean_text(metadata.get("ss_base_model_version", ""), 100).lower(),
        architecture=architecture or None,
        tags=clean_list(listed_tags.split(",") + frequent, TOP_TAGS),
        trigger_words=clean_list(phrase.split(",") + frequent, TOP_TAGS),
        entries=clean_entries({key: metadata[key] for key in _STORED_KEYS if key in metadata}),
    )


def _parse_tag_frequency(table: str) -> list[str]:
    """Return the 20 most frequent tags over all data sets; empty for a table that is invalid or above 2 MiB.

    The table is ``{"<folder>": {"<tag>": <count>}}`` in JSON.
    """
    if not table or len(table) > MAX_TAG_TABLE:
        return []
    try:
        folders = json_limits.parse(table.encode("utf-8", "surrogatepass"))
    except json_limits.JsonRejected:
        return []
    counts: Counter[str] = Counter()
    for tags in folders.values() if isinstance(folders, dict) else ():
        for tag, count in tags.items() if isinstance(tags, dict) else ():
            if type(count) is int and count > 0:
                counts[tag] += count
    return [tag for tag, _ in counts.most_common(TOP_TAGS)]
