"""Sets of labels as one text each, so that a database can compare and group them."""

from collections.abc import Iterable


def label_set(*labels: Iterable[str]) -> str:
    """The labels of all these lists, each once and sorted, with spaces between: a label has none."""
    return " ".join(sorted({label for some in labels for label in some}))


def fits(needed: str, has: str) -> bool:
    """Whether a machine with one set has everything that a model with the other needs."""
    return not needed or set(needed.split(" ")) <= set(has.split(" "))
