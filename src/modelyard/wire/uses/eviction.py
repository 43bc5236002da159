"""The rule of what a disk budget evicts, which machines follow and the registry previews. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

# A machine evicts nothing that it has before it has counted use for so long: until then, everything seems unused.
MIN_COUNTED = timedelta(days=7)


@dataclass(frozen=True)
class BudgetedModel:
    """A model that a machine should hold.

    ``recent_at``: when the machine used it last, or began to hold it if that is later. ``may_evict``: it is not
    assigned to the machine, not pinned there, not in its ComfyUI's queue, not damaged in the registry, and no file of a
    user.
    """

    id: UUID
    size: int
    recent_at: datetime
    may_evict: bool


def choose_evicted(models: Iterable[BudgetedModel], budget_bytes: int) -> list[BudgetedModel]:
    """Return the models that a machine does not hold so that the others fit into its budget, in the order of eviction.

    The least recently used are evicted first, of equally recent ones the largest, until the rest fits. The result does
    not depend on the order of ``models``. If those that may not be evicted exceed the budget, all others are evicted.
    """
    remaining = list(models)
    excess = sum(model.size for model in remaining) - budget_bytes
    evicted: list[BudgetedModel] = []
    candidates = [model for model in remaining if model.may_evict]
    for model in sorted(candidates, key=lambda each: (each.recent_at, -each.size, each.id)):
        if excess <= 0:
            break
        evicted.append(model)
        excess -= model.size
    return evicted
