"""What a machine should hold, made of what a registry says and checked as if the registry were an enemy."""

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from modelyard.client.library import MODEL_SUFFIXES
from modelyard.client.sync.wording import printable, quoted
from modelyard.wire.agents import WantedModel
from modelyard.wire.models import Model
from modelyard.wire.paths import PathRefused, checked_path

# A machine that holds 10,000 models is a large one; more than this is a fault or an attack.
MOST_ENTRIES = 200_000
# The largest file that ext4 can hold; the largest models are a hundredth of it.
MOST_BYTES = 16 * 1024**4

_digest = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Wanted:
    """A model that should be here: its path has passed the rule of ``wire.paths``."""

    id: UUID
    model_path: str  # below a models folder: "unet/flux/dev.safetensors"
    model_type: str  # ComfyUI's key: "diffusion_models"
    size: int
    sha256: str  # 64 hexadecimal digits
    keep: bool  # the registry's copy is damaged: whoever has the bytes keeps them, nobody fetches
    updated_at: datetime
    key: str  # equal for two paths that are one file on some machine

    @property
    def folder(self) -> str:
        """The first folder as the team chose it: "unet", though the key is "diffusion_models"."""
        return self.model_path.partition("/")[0]

    @property
    def name(self) -> str:
        """What ComfyUI calls it: the path below the key's root."""
        return self.model_path.partition("/")[2]


@dataclass(frozen=True)
class Unfit:
    """An entry that this machine does not follow, and why in a sentence. What it holds of that model stays."""

    id: UUID
    model_path: str
    reason: str
    # Where it will be: what lies there of another model, which it may have replaced, stays as well.
    place: Wanted | None = None


@dataclass(frozen=True)
class WantedList:
    """Everything that should be here, most wanted first, and the entries that were refused."""

    models: tuple[Wanted, ...] = ()
    unfit: tuple[Unfit, ...] = ()


def read_wanted(models: Iterable[WantedModel | Model]) -> WantedList:
    """The entries that are safe, newest first; each of the others with its reason. Never raises for what they say.

    The order in which the registry lists them decides nothing but which ones are beyond ``MOST_ENTRIES``.
    """
    passed: set[Wanted] = set()
    unfit: list[Unfit] = []
    for place, model in enumerate(models):
        checked = _beyond(model) if place >= MOST_ENTRIES else _checked(model)
        if isinstance(checked, Unfit):
            unfit.append(checked)
        else:
            passed.add(checked)
    reasons = dict(_clashes(passed))
    unfit.extend(Unfit(wanted.id, wanted.model_path, reason) for wanted, reason in reasons.items())
    return WantedList(
        tuple(sorted(passed - reasons.keys(), key=most_wanted_first)),
        tuple(sorted(unfit, key=lambda entry: (entry.model_path, entry.id, entry.reason))),
    )


def waiting_for(model: WantedModel, reason: str) -> Unfit:
    """An entry that will be followed later: nothing is fetched for it, and what is in its place stays."""
    checked = _checked(model)
    return Unfit(checked.id, checked.model_path, reason, checked) if isinstance(checked, Wanted) else checked


def most_wanted_first(wanted: Wanted) -> tuple[float, int, str]:
    """What was changed last is waited for now; of two of one time the smaller is usable sooner."""
    return -wanted.updated_at.timestamp(), wanted.size, wanted.key


def _checked(model: WantedModel | Model) -> Wanted | Unfit:
    digest = _digest.fullmatch(model.file_hash)
    if digest is None:
        return _unfit(model, f"The hash {quoted(model.file_hash)} is no SHA-256.")
    if not 0 < model.file_size <= MOST_BYTES:
        return _unfit(model, f"No model file has {model.file_size} bytes.")
    try:
        place = checked_path(model.model_type, model.model_path)
    except PathRefused as refused:
        return _unfit(model, f"The path is refused: {refused}")
    if os.path.splitext(place.relative)[1].lower() not in MODEL_SUFFIXES:  # noqa: PTH122 no path, and asked very often
        known = " ".join(sorted(MODEL_SUFFIXES))
        return _unfit(model, f"The path does not end like a model file ({known}).")
    return Wanted(
        model.id,
        place.relative,
        place.canonical_type,
        model.file_size,
        digest.group(1),
        isinstance(model, WantedModel) and model.keep,
        model.updated_at if model.updated_at.tzinfo else model.updated_at.replace(tzinfo=UTC),
        place.key,
    )


def _clashes(models: Collection[Wanted]) -> Iterator[tuple[Wanted, str]]:
    """The entries that cannot be on one disk, each with the reason; whichever order they came in."""
    by_key: dict[str, list[Wanted]] = defaultdict(list)
    by_id: dict[UUID, list[Wanted]] = defaultdict(list)
    for wanted in models:
        by_key[wanted.key].append(wanted)
        by_id[wanted.id].append(wanted)
    for wanted in models:
        same_place = by_key[wanted.key]
        if len(by_id[wanted.id]) > 1:
            yield wanted, "The registry names this model more than once, with different facts. It is not fetched."
        elif len(same_place) > 1:
            paths = ", ".join(sorted(f"'{other.model_path}'" for other in same_place)[:3])
            yield wanted, f"The registry names one file for {len(same_place)} models: {paths}. None of them is fetched."
        elif (above := _file_above(wanted.key, by_key)) is not None:
            yield wanted, f"'{above[0].model_path}' is a file, so no file can be below it."


def _file_above(key: str, by_key: dict[str, list[Wanted]]) -> list[Wanted] | None:
    """The entries that make a file of what this key needs as a folder."""
    end = key.rfind("/")
    while end > 0:
        if (found := by_key.get(key[:end])) is not None:
            return found
        end = key.rfind("/", 0, end)
    return None


def _beyond(model: WantedModel | Model) -> Unfit:
    return _unfit(model, f"The registry names more than {MOST_ENTRIES} models; this one is beyond them.")


def _unfit(model: WantedModel | Model, reason: str) -> Unfit:
    return Unfit(model.id, printable(model.model_path), reason)
