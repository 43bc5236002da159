"""Texts that mean a known base model: what trainers, tools and file names write, and near misses of its name."""

import re

from modelyard.wire.base_models.names import BASE_MODELS, KnownBaseModel
from modelyard.wire.texts.typing_errors import is_typing_error

# Trainers that write only "Flux.2" mean Flux.2 D; as a name it is what the tensors of all its sizes have in common.
_EXACT_NAMES = {name.casefold(): name for name in BASE_MODELS if name != "Flux.2"}

# What trainers, tools and file names call the base models; the first pattern of a text wins, so the narrower first.
# Separators are single spaces here. Optional ends make no difference to what is found in a text, only to whole texts.
_SPELLINGS: tuple[tuple[str, KnownBaseModel], ...] = (
    (r"pony ?v7", "Pony V7"),
    (r"noob ?ai( ?xl)?|noob( |xl|$)", "NoobAI"),
    (r"illustrious( ?xl)?|\bilxl\b|\bwai ?(nsfw|ani|illu)", "Illustrious"),
    (r"(?<!little )\bpony( ?diffusion)?( ?v6)?( ?xl)?|ponydiffusion|\bpdxl\b|autismmix", "Pony"),
    (r"(sdxl|xl).*lightning", "SDXL Lightning"),
    (r"(sdxl|xl).*\bhyper|hyper ?sdxl", "SDXL Hyper"),
    (r"(sdxl|\bxl).*\bturbo", "SDXL Turbo"),
    (r"(sdxl|\bxl).*\blcm|lcm.*sdxl", "SDXL 1.0 LCM"),
    (r"sdxl( base)?|(stable diffusion|sd) xl( base)?( 1 0)?", "SDXL 1.0"),
    (r"(3 5|sd35).*large.*turbo", "SD 3.5 Large Turbo"),
    (r"(3 5|sd35).*medium", "SD 3.5 Medium"),
    (r"(3 5|sd35).*large", "SD 3.5 Large"),
    (r"stable diffusion v?3 m(edium)?\b|\bsd ?3 m(edium)?\b", "SD 3"),
    (r"flux ?2.*klein.*9b.*base|flux ?2.*klein.*base.*9b", "Flux.2 Klein 9B-base"),
    (r"flux ?2.*klein.*4b.*base|flux ?2.*klein.*base.*4b", "Flux.2 Klein 4B-base"),
    (r"flux ?2.*klein.*9b", "Flux.2 Klein 9B"),
    (r"flux ?2.*klein.*4b", "Flux.2 Klein 4B"),
    (r"\bflux ?2( d(ev)?|dev|$)", "Flux.2 D"),
    (r"chroma", "Chroma"),
    (r"(flux ?(1 ?)?)?kontext( dev)?", "Flux.1 Kontext"),
    (r"flux.*krea|krea.*flux|flux ?1 krea", "Flux.1 Krea"),
    (r"flux.*fill", "Flux.1 Fill"),
    (r"flux.*schnell|\bflex ?1 alpha", "Flux.1 S"),
    (r"flux.*(dev\b|\bd\b)|\bflux ?dev", "Flux.1 D"),
    (r"\bflux(?! ?2)( ?1)?( |$)", "Flux.1"),
    (r"qwen.*edit", "Qwen Edit"),
    (r"qwen( ?image)?", "Qwen"),
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
_NOT_IN_WORDS = re.compile(r"[^0-9a-z]+")
_SEPARATORS = re.compile(r"[\W_]+")
_LONGEST_TEXT = 300


def find_base_model(text: str) -> KnownBaseModel | None:
    """Return the known base model that a text names or spells in another way, anywhere in it; or None."""
    text = text[:_LONGEST_TEXT].casefold().strip()
    return _EXACT_NAMES.get(text) or _find_spelling(text)[0]


def suggest_base_model(text: str) -> KnownBaseModel | None:
    """Return the known base model of whose name a text is a near miss; None for a known name, or a new one.

    A near miss differs in letter case, separators or a typing error, or is as a whole what trainers and tools write
    instead. A longer text, such as "Illustrious 2.0", is a name of its own.
    """
    text = text[:_LONGEST_TEXT].strip()
    if text in BASE_MODELS:
        return None
    folded = _fold(text)
    if folded in _NAMES_BY_FOLDED:
        return _NAMES_BY_FOLDED[folded]
    similar = [name for known, name in _NAMES_BY_FOLDED.items() if is_typing_error(folded, known)]
    if len(similar) == 1:
        return similar[0]
    name, is_whole = _find_spelling(text.casefold())
    return name if is_whole else None


def _find_spelling(text: str) -> tuple[KnownBaseModel | None, bool]:
    """Return the base model that is spelled first in a text in lower case, and whether that is all of the text."""
    words = _NOT_IN_WORDS.sub(" ", text).strip()
    for pattern, name in _PATTERNS:
        if pattern.search(words):
            return name, pattern.fullmatch(words) is not None
    return None, False


def _fold(name: str) -> str:
    """Return what all spellings of a name share: it in lower case, without separators."""
    return _SEPARATORS.sub("", name.casefold())


_NAMES_BY_FOLDED = {_fold(name): name for name in BASE_MODELS}
