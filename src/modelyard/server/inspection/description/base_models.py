"""Base models by their canonical names, and their refinement by what a file and its surroundings claim.

Names are Civitai's (its ``basemodel.constants.ts``). Where tensors do not tell which of several it is, the name is the
common part of theirs: "Flux.1", "ZImage", "Wan Video". Claims choose among the names that the tensors permit, and never
contradict them.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Family(NamedTuple):
    """What tensors tell: the architecture, the name without any claim, and the names that a claim may choose."""

    architecture: str
    name: str | None
    refined: tuple[str, ...] = ()


_SDXL = ("Pony", "Illustrious", "NoobAI", "SDXL Lightning", "SDXL Hyper", "SDXL Turbo", "SDXL 1.0 LCM", "SDXL 0.9")
_FLUX_DEV = ("Flux.1 D", "Flux.1 Krea", "Flux.1 Kontext")
_WAN_I2V = ("Wan Video 14B i2v 480p", "Wan Video 14B i2v 720p")
_WAN_T2V = ("Wan Video 14B t2v", "Wan Video 2.2 T2V-A14B", "Wan Video 2.1", "Wan Video 2.2")
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
_COMMON_NAMES = {
    frozenset({"wan-t2v", "wan2.2-i2v", "wan2.1-i2v"}): "Wan Video 14B",
    frozenset({"flux2-dev", "flux2-klein-9b", "flux2-klein-4b"}): "Flux.2",
    frozenset({"sd3-medium", "sd3.5-medium", "sd3.5-large"}): "SD 3",
}
_CANONICAL = {
    name.casefold(): name for family in FAMILIES.values() for name in (family.name, *family.refined) if name is not None
}

# What trainers, tools and file names call the base models; the first pattern of a text wins, so the narrower first.
# Separators are single spaces here, see `_find_name`.
_SPELLINGS: tuple[tuple[str, str], ...] = (
    (r"pony ?v7", "Pony V7"),
    (r"noob ?ai|noob( |xl|$)", "NoobAI"),
    (r"illustrious|\bilxl\b|\bwai ?(nsfw|ani|illu)", "Illustrious"),
    (r"(?<!little )\bpony|ponydiffusion|\bpdxl\b|autismmix", "Pony"),
    (r"(sdxl|xl).*lightning", "SDXL Lightning"),
    (r"(sdxl|xl).*\bhyper|hyper ?sdxl", "SDXL Hyper"),
    (r"(sdxl|\bxl).*\bturbo", "SDXL Turbo"),
    (r"(sdxl|\bxl).*\blcm|lcm.*sdxl", "SDXL 1.0 LCM"),
    (r"sdxl|stable diffusion xl|sd xl", "SDXL 1.0"),
    (r"(3 5|sd35).*large.*turbo", "SD 3.5 Large Turbo"),
    (r"(3 5|sd35).*medium", "SD 3.5 Medium"),
    (r"(3 5|sd35).*large", "SD 3.5 Large"),
    (r"stable diffusion v?3 m(edium)?\b|\bsd ?3 m(edium)?\b", "SD 3"),
    (r"flux ?2.*klein.*9b.*base|flux ?2.*klein.*base.*9b", "Flux.2 Klein 9B-base"),
    (r"flux ?2.*klein.*4b.*base|flux ?2.*klein.*base.*4b", "Flux.2 Klein 4B-base"),
    (r"flux ?2.*klein.*9b", "Flux.2 Klein 9B"),
    (r"flux ?2.*klein.*4b", "Flux.2 Klein 4B"),
    (r"\bflux ?2( d|dev|$)", "Flux.2 D"),
    (r"chroma", "Chroma"),
    (r"kontext", "Flux.1 Kontext"),
    (r"flux.*krea|krea.*flux|flux ?1 krea", "Flux.1 Krea"),
    (r"flux.*fill", "Flux.1 Fill"),
    (r"flux.*schnell|\bflex ?1 alpha", "Flux.1 S"),
    (r"flux.*(dev\b|\bd\b)|\bflux ?dev", "Flux.1 D"),
    (r"\bflux(?! ?2)( ?1)?( |$)", "Flux.1"),
    (r"qwen.*edit", "Qwen Edit"),
    (r"qwen", "Qwen"),
    (r"(wan ?)?2 ?2.*5b|ti2v ?5b", "Wan Video 2.2 TI2V-5B"),
    (r"wan.*2 ?2.*i2v", "Wan Video 2.2 I2V-A14B"),
    (r"wan.*2 ?2.*t2v", "Wan Video 2.2 T2V-A14B"),
    (r"wan.*2 ?2|wan.*(high|low) ?noise", "Wan Video 2.2"),
    (r"wan.*(i2v.*480|480p.*i2v)", "Wan Video 14B i2v 480p"),
    (r"wan.*(i2v.*720|720p.*i2v)", "Wan Video 14B i2v 720p"),
    (r"wan.*i2v", "Wan Video 14B i2v"),
    (r"wan.*1 3b", "Wan Video 1.3B t2v"),
    (r"wan.*t2v", "Wan Video 14B t2v"),
    (r"wan.*2 1", "Wan Video 2.1"),
    (r"hunyuan ?video ?1 5|hunyuan ?video ?15", "Hunyuan Video 1.5"),
    (r"hunyuan ?video|\bhyvid\b", "Hunyuan Video"),
    (r"ltx ?(v|video)?( ?av)? ?2|ltxav|ltx ?2", "LTXV2"),
    (r"ltx", "LTXV"),
    (r"z ?image.*base|zimagebase", "ZImageBase"),
    (r"z ?image.*turbo|zimageturbo", "ZImageTurbo"),
    (r"z ?image", "ZImage"),
    (r"lumina", "Lumina"),
    (r"hidream", "HiDream"),
    (r"\banima\b", "Anima"),
    (r"aura ?flow|\baura\b", "AuraFlow"),
    (r"(sd|stable diffusion) ?v?(1 5|1$|1 )|\bsd ?15\b|\bv1 5\b", "SD 1.5"),
    (r"(sd|stable diffusion) ?v?1 4", "SD 1.4"),
    (r"(sd|stable diffusion) ?v?2 0", "SD 2.0"),
    (r"(sd|stable diffusion) ?v?2", "SD 2.1"),
)
_PATTERNS = tuple((re.compile(pattern), name) for pattern, name in _SPELLINGS)
_SEPARATORS = re.compile(r"[^0-9a-z]+")
_LONGEST_CLAIM = 300


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
        name = find_name(claim.text)
        if name in possible and (name != shown or claim.is_exact):
            return BaseModel(name, claim.source)
    return BaseModel(shown, None if shown is None else "tensors")


def get_possible_names(families: Sequence[str]) -> set[str]:
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


def find_name(text: str) -> str | None:
    """Return the canonical name that a text is or spells in another way, or None."""
    text = text[:_LONGEST_CLAIM].casefold().strip()
    if text in _CANONICAL:
        return _CANONICAL[text]
    words = _SEPARATORS.sub(" ", text).strip()
    return next((name for pattern, name in _PATTERNS if pattern.search(words)), None)


def _get_common_name(families: Sequence[str]) -> str | None:
    """Return the name for what the families have in common, or None."""
    if len(families) == 1:
        return FAMILIES[families[0]].name
    return _COMMON_NAMES.get(frozenset(families))
