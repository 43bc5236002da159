"""Base models that tensors permit, and their refinement by what a file and its surroundings claim.

Where tensors do not tell which of several it is, the name is the common part of theirs: "Flux.1", "ZImage", "Wan
Video". Claims choose among the names that the tensors permit, and never contradict them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from modelyard.wire.base_models.names import KnownBaseModel
from modelyard.wire.base_models.spellings import find_base_model

_Names: TypeAlias = tuple[KnownBaseModel, ...]


class Family(NamedTuple):
    """What tensors tell: the architecture, the name without any claim, and the names that a claim may choose."""

    architecture: str
    name: KnownBaseModel | None
    refined: _Names = ()


_SDXL: _Names = (
    "Pony",
    "Illustrious",
    "NoobAI",
    "SDXL Lightning",
    "SDXL Hyper",
    "SDXL Turbo",
    "SDXL 1.0 LCM",
    "SDXL 0.9",
)
_FLUX_DEV: _Names = ("Flux.1 D", "Flux.1 Krea", "Flux.1 Kontext")
_WAN_I2V: _Names = ("Wan Video 14B i2v 480p", "Wan Video 14B i2v 720p")
_WAN_T2V: _Names = ("Wan Video 14B t2v", "Wan Video 2.2 T2V-A14B", "Wan Video 2.1", "Wan Video 2.2")
FAMILIES = {
    "sd1": Family("sd1.5", "SD 1.5", ("SD 1.4", "SD 1.5 LCM", "SD 1.5 Hyper")),
    "sd2": Family("sd2", "SD 2.1", ("SD 2.0",)),
    "sdxl": Family("sdxl", "SDXL 1.0", _SDXL),
    "sdxl-refiner": Family("sdxl-refiner", None),
    "sd3-medium": Family("sd3", "SD 3"),
    "sd3.5-medium": Family("sd3", "SD 3.5 Medium"),
    "sd3.5-large": Family("sd3", "SD 3.5 Large", ("SD 3.5 Large Turbo",)),
    "flux": Family("flux", "Flux.1", ("Flux.1 S", "Flux.1 Fill", *_FLUX_DEV)),
    "flux-dev": Family("flux", "Flux.1 D", _FLUX_DEV[1:]),
    "flux-schnell": Family("flux", "Flux.1 S"),
    "flux-fill": Family("flux", "Flux.1 Fill"),
    "flux2-dev": Family("flux2", "Flux.2 D"),
    "flux2-klein-9b": Family("flux2", "Flux.2 Klein 9B", ("Flux.2 Klein 9B-base",)),
    "flux2-klein-4b": Family("flux2", "Flux.2 Klein 4B", ("Flux.2 Klein 4B-base",)),
    "chroma": Family("chroma", "Chroma"),
    "qwen": Family("qwen-image", "Qwen", ("Qwen Edit",)),
    "wan2.1-1.3b": Family("wan", "Wan Video 1.3B t2v"),
    "wan2.1-i2v": Family("wan", "Wan Video 14B i2v", (*_WAN_I2V, "Wan Video 2.1")),
    "wan-t2v": Family("wan", "Wan Video 14B", _WAN_T2V),
    "wan2.2-i2v": Family("wan", "Wan Video 2.2 I2V-A14B", ("Wan Video 2.2",)),
    "wan2.2-5b": Family("wan", "Wan Video 2.2 TI2V-5B"),
    "hunyuan-video": Family("hunyuan-video", "Hunyuan Video"),
    "hunyuan-video-1.5": Family("hunyuan-video", "Hunyuan Video 1.5"),
    "ltxv": Family("ltx-video", "LTXV"),
    "ltxv2": Family("ltx-video", "LTXV2"),
    "z-image": Family("z-image", "ZImage", ("ZImageTurbo", "ZImageBase")),
    "lumina": Family("lumina2", "Lumina"),
    "hidream": Family("hidream", "HiDream"),
    "anima": Family("anima", "Anima"),
    "cosmos": Family("cosmos", None),
    "auraflow": Family("auraflow", "AuraFlow", ("Pony V7",)),
}
# Names for several families that the tensors leave open.
_COMMON_NAMES: dict[frozenset[str], KnownBaseModel] = {
    frozenset({"wan-t2v", "wan2.2-i2v", "wan2.1-i2v"}): "Wan Video 14B",
    frozenset({"flux2-dev", "flux2-klein-9b", "flux2-klein-4b"}): "Flux.2",
    frozenset({"sd3-medium", "sd3.5-medium", "sd3.5-large"}): "SD 3",
}


@dataclass(frozen=True)
class Claim:
    """A text that may name the base model.

    An exact one names the very file; others, such as ``sdxl_base_v1-0``, are the same for every fine-tuned base.
    """

    source: str
    text: str
    is_exact: bool = True


@dataclass(frozen=True)
class BaseModel:
    """A canonical name, or None for unknown, with the source that decided it."""

    name: str | None = None
    source: str | None = None


def refine_base_model(families: Sequence[str], claims: Iterable[Claim]) -> BaseModel:
    """Return the base model: what the tensors show, refined by the first claim that tells more and fits them.

    An exact claim of what the tensors show confirms it. Without families, the base model is unknown.
    """
    shown = _get_common_name(families)
    possible = get_possible_names(families)
    for claim in claims:
        name = find_base_model(claim.text)
        if name in possible and (name != shown or claim.is_exact):
            return BaseModel(name, claim.source)
    return BaseModel(shown, None if shown is None else "tensors")


def prove_base_model(base: BaseModel, families: Sequence[str]) -> BaseModel:
    """Return the base model with the tensors as its source if they show it without the claim that confirms it."""
    is_shown = base.name is not None and base.name == _get_common_name(families)
    return BaseModel(base.name, "tensors") if is_shown else base


def get_possible_names(families: Sequence[str]) -> set[KnownBaseModel]:
    """Return the canonical names of all base models of the families."""
    names = {name for family in families for name in (FAMILIES[family].name, *FAMILIES[family].refined)}
    return {name for name in names if name is not None}


def get_architecture(families: Sequence[str], base_model: str | None) -> str | None:
    """Return the architecture of the families, if it is one, or else of the one that the base model chooses."""
    architectures = {FAMILIES[family].architecture for family in families}
    if len(architectures) != 1:
        chosen = [family for family in families if base_model in get_possible_names([family])]
        architectures = {FAMILIES[family].architecture for family in chosen}
    return architectures.pop() if len(architectures) == 1 else None


def _get_common_name(families: Sequence[str]) -> KnownBaseModel | None:
    """Return the name for what the families have in common, or None."""
    if len(families) == 1:
        return FAMILIES[families[0]].name
    return _COMMON_NAMES.get(frozenset(families))
