"""Compare the labels that models require with those that machines have.

Both are stored as label sets: the sorted labels in one string, so that the database can compare and group by it.
"""

from collections.abc import Iterable
from functools import reduce

# What only machines have that place folder models. No label of a person has a colon.
FOLDERS = ":folders"


def build_label_set(*label_lists: Iterable[str]) -> str:
    """Return all labels of these lists as one string: each label once, sorted, separated by spaces.

    A label contains no space.
    """
    return " ".join(sorted({label for labels in label_lists for label in labels}))


def build_model_label_set(required_labels: Iterable[str], *, is_folder: bool) -> str:
    """Return the label set that machines need for a model: the required labels, and for a folder ``FOLDERS``."""
    return build_label_set(required_labels, [FOLDERS] if is_folder else [])


def has_all_labels(needed: str, has: str) -> bool:
    """Return whether a machine with the label set ``has`` has every label of the set ``needed`` by a model."""
    return not needed or set(needed.split(" ")) <= set(has.split(" "))


def find_satisfied_sets(needed: Iterable[str], machines: Iterable[str]) -> set[str]:
    """Return those of the label sets of models that any of these label sets of machines includes.

    For many of both: which machines have a label is one number with a bit for each of them.
    """
    having: dict[str, int] = {}
    all_machines = 0
    for index, has in enumerate(set(machines)):
        all_machines |= 1 << index
        for label in has.split(" "):
            having[label] = having.get(label, 0) | 1 << index
    return {
        labels
        for labels in set(needed)
        if not labels or reduce(lambda left, label: left & having.get(label, 0), labels.split(" "), all_machines)
    }
