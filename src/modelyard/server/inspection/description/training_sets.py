"""The sets of pictures that a model was trained on, as sd-scripts and its relatives record them.

``ss_tag_frequency`` counts each tag once a caption, without repeats; ``ss_dataset_dirs`` and ``ss_datasets`` have the
numbers of pictures. The tags of regularisation pictures say what the model is not about.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelyard.comfyui.model_files import json_limits
from modelyard.wire.texts.cleaning import clean_text

# Above this a table is not parsed: the largest real ones have some hundred KiB.
MAX_TABLE = 2 * 1024 * 1024
MAX_TAGS = 50
# The mean length of tags from which they are whole captions, as in A1111's list of tags.
CAPTION_LENGTH = 16


@dataclass
class TrainingSet:
    """A folder of training pictures: its name, tags with counts, number of pictures if known, and class words."""

    name: str
    tags: dict[str, int] = field(default_factory=dict)
    image_count: int = 0
    class_tokens: str = ""
    is_regularisation: bool = False

    @property
    def has_captions(self) -> bool:
        """Whether its tags are whole captions."""
        return bool(self.tags) and sum(map(len, self.tags)) / len(self.tags) >= CAPTION_LENGTH


def parse_training_sets(metadata: Mapping[str, str]) -> list[TrainingSet]:
    """Return the sets of training pictures that a safetensors ``__metadata__`` declares, without regularisation sets.

    Never raises: what cannot be parsed counts as absent.
    """
    sets: dict[str, TrainingSet] = {}
    for name, tags in _iterate_objects(parse_table(metadata, "ss_tag_frequency")):
        sets[name] = TrainingSet(name, _parse_counts(tags))
    for name, folder in _iterate_objects(parse_table(metadata, "ss_dataset_dirs")):
        sets.setdefault(name, TrainingSet(name)).image_count = _parse_count(folder.get("img_count"))
    for name, _ in _iterate_objects(parse_table(metadata, "ss_reg_dataset_dirs")):
        sets.setdefault(name, TrainingSet(name)).is_regularisation = True
    datasets = parse_table(metadata, "ss_datasets")
    for dataset in datasets if isinstance(datasets, list) else ():
        if isinstance(dataset, dict):
            _add_dataset(sets, dataset)
    return [each for each in sets.values() if not each.is_regularisation]


def build_training_tags(sets: list[TrainingSet]) -> list[dict[str, Any]]:
    """Return the most frequent tags with their share of all pictures; none of sets whose size is unknown."""
    tagged = [each for each in sets if each.image_count and each.tags and not each.has_captions]
    pictures = sum(each.image_count for each in tagged)
    counts: Counter[str] = Counter()
    for each in tagged:
        counts.update(each.tags)
    tags: dict[str, float] = {}
    # Not `most_common(n)`, which imports a module: in a sandbox no file can be opened.
    for tag, count in sorted(counts.items(), key=lambda entry: -entry[1])[: 2 * MAX_TAGS]:
        text = clean_text(tag, 100)
        if text and len(tags) < MAX_TAGS:
            tags.setdefault(text, round(min(1.0, count / pictures), 3))
    return [{"text": text, "share": share} for text, share in tags.items()]


def parse_table(metadata: Mapping[str, str], key: str) -> Any:
    """Return the value of an entry that contains JSON; None if it is absent, invalid or above 2 MiB."""
    text = metadata.get(key, "")
    if not text or len(text) > MAX_TABLE:
        return None
    try:
        # Trainers write the mean of no numbers as NaN, which nothing here reads.
        return json_limits.parse(text.encode("utf-8", "surrogatepass"), parse_constant=lambda _name: None)
    except json_limits.JsonRejected:
        return None


def _add_dataset(sets: dict[str, TrainingSet], dataset: dict[str, Any]) -> None:
    """Add the subsets and tags of one entry of ``ss_datasets`` to ``sets``; values that a set has already stay."""
    for name, tags in _iterate_objects(dataset.get("tag_frequency")):
        found = sets.setdefault(name, TrainingSet(name))
        found.tags = found.tags or _parse_counts(tags)
    subsets = dataset.get("subsets")
    for subset in subsets if isinstance(subsets, list) else ():
        if not isinstance(subset, dict):
            continue
        name = str(subset.get("image_dir") or "")
        found = sets.setdefault(name, TrainingSet(name))
        found.image_count = found.image_count or _parse_count(subset.get("img_count"))
        found.class_tokens = found.class_tokens or str(subset.get("class_tokens") or "")
        found.is_regularisation |= subset.get("is_reg") is True


def _iterate_objects(table: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Iterate the entries of an object whose values are objects; nothing for another value."""
    for name, value in table.items() if isinstance(table, dict) else ():
        if isinstance(value, dict):
            yield name, value


def _parse_counts(tags: Mapping[str, Any]) -> dict[str, int]:
    """Return the tags that have a positive count."""
    return {tag: count for tag, count in tags.items() if _parse_count(count)}


def _parse_count(value: Any) -> int:
    """Return a positive integer, or 0 for any other value."""
    return value if type(value) is int and value > 0 else 0
