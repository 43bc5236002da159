"""What trainers and tools write into the metadata of a model: base model, tags, trigger words, licence.

Known writers: kohya-ss sd-scripts (``ss_*``), the Stability model specification (``modelspec.*``), diffusers, mflux.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelyard.server.models.content import json_guard
from modelyard.server.models.content.facts import clean_entries, clean_list, clean_text

# Above this a tag table is not parsed: the largest real ones have some hundred KiB.
MAX_TAG_TABLE = 2 * 1024 * 1024
TOP_TAGS = 20

_WANTED = (
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
)


@dataclass(frozen=True)
class Said:
    """Clean and cut; ``base_model`` and ``architecture`` are claims of the file, not findings of ours."""

    base_model: str
    architecture: str | None
    tags: list[str]
    trigger_words: list[str]
    entries: dict[str, Any]


def trainer_facts(metadata: Mapping[str, str]) -> Said:
    """Never raises: a broken tag table is no tag table."""
    frequent = _frequent_tags(metadata.get("ss_tag_frequency", ""))
    phrase = metadata.get("modelspec.trigger_phrase", "")[:4_000]
    spoken = metadata.get("modelspec.tags", "")[:4_000]
    claimed = clean_text(metadata.get("modelspec.architecture", ""), 100)
    return Said(
        base_model=clean_text(metadata.get("ss_base_model_version", ""), 100).lower(),
        architecture=claimed or None,
        tags=clean_list(spoken.split(",") + frequent, TOP_TAGS),
        trigger_words=clean_list(phrase.split(",") + frequent, TOP_TAGS),
        entries=clean_entries({key: metadata[key] for key in _WANTED if key in metadata}),
    )


def _frequent_tags(table: str) -> list[str]:
    """The most frequent tags over all data sets; the table is ``{"<folder>": {"<tag>": <count>}}`` in JSON."""
    if not table or len(table) > MAX_TAG_TABLE:
        return []
    try:
        folders = json_guard.parse(table.encode("utf-8", "surrogatepass"))
    except json_guard.RefusedJson:
        return []
    counts: Counter[str] = Counter()
    for tags in folders.values() if isinstance(folders, dict) else ():
        for tag, count in tags.items() if isinstance(tags, dict) else ():
            if type(count) is int and count > 0:
                counts[tag] += count
    return [tag for tag, _ in counts.most_common(TOP_TAGS)]
