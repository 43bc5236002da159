"""Trigger words of a model: those that its file declares, or what the training was called, or a labelled guess."""

import re
from collections.abc import Iterable, Mapping

from modelyard.server.inspection.description.training_sets import TrainingSet
from modelyard.server.inspection.metadata import clean_list

MAX_WORDS = 20
MAX_FOLDER_WORDS = 10
MAX_GUESSES = 3
# The share of the pictures of a set from which a tag probably is a trigger word, and the fewest pictures that tell.
GUESSED_SHARE = 0.9
FEWEST_PICTURES = 4
# Entries in which people declare the words: the model specification's, and that of diffusers' training scripts.
PHRASE_KEYS = ("modelspec.trigger_phrase", "instance_prompt")
# sd-scripts reads the number of repeats and the class word from the name of a folder.
_FOLDER = re.compile(r"\d+_(.+)\Z")
# Names of folders that say nothing of their pictures.
_GENERIC = re.compile(
    r"[\d\s._-]*(?:(?:img|imgs|image|images|data|dataset|datasets|train|training|pics?|pictures?|photos?|crop|cropped|"
    r"concept|lora|style|person|man|woman|girl|boy|character|subject|reg|all|new|final|test|output|input|folder)"
    r"[\d\s._-]*)*\Z"
)
# Tags that most pictures of many sets have: they describe pictures, not the model.
_COMMON_TAGS = frozenset(
    (
        *("1girl", "1boy", "2girls", "2boys", "solo", "solo focus", "multiple girls", "male focus", "no humans"),
        *("masterpiece", "best quality", "high quality", "highres", "absurdres", "realistic", "photorealistic"),
        *("looking at viewer", "simple background", "white background", "black background", "grey background"),
        *("indoors", "outdoors", "smile", "blush", "open mouth", "closed mouth", "parted lips", "bangs", "long hair"),
        *("short hair", "black hair", "brown hair", "blonde hair", "blue eyes", "brown eyes", "breasts"),
        *("large breasts", "medium breasts", "small breasts", "upper body", "full body", "cowboy shot", "portrait"),
        *("standing", "sitting", "jewelry", "shirt", "dress", "monochrome", "greyscale", "traditional media"),
        *("general", "sensitive", "explicit", "rating:safe", "safe", "nsfw", "score_9", "score_8_up", "score_7_up"),
        *("photo", "photo of", "image", "a photo", "woman", "man", "person", "girl", "boy", "anime", "signature"),
    )
)


def find_trigger_words(metadata: Mapping[str, str], sets: list[TrainingSet]) -> list[dict[str, str]]:
    """Return the trigger words of the first source that has some, with that source; empty if none has.

    Sources in order: a declared phrase, the only tag of AI Toolkit's table, class words and folder names, tags of
    nearly all pictures.
    """
    phrases = [part for key in PHRASE_KEYS for part in metadata.get(key, "")[:4_000].split(",")]
    sources = (
        ("file", clean_list(phrases, MAX_WORDS)),
        ("file", clean_list(_find_single_tag(sets), 1)),
        ("folder", clean_list(list(_find_folder_words(sets)), MAX_FOLDER_WORDS)),
        ("guess", clean_list(_guess(sets), MAX_GUESSES)),
    )
    source, words = next(((source, words) for source, words in sources if words), ("", []))
    return [{"text": word, "source": source} for word in words]


def has_declared_phrase(metadata: Mapping[str, object]) -> bool:
    """Return whether the stored entries of a file have a phrase that a person declared."""
    return any(str(metadata.get(key, "")).strip(" ,") for key in PHRASE_KEYS)


def _find_single_tag(sets: list[TrainingSet]) -> list[str]:
    """Return the trigger word of AI Toolkit, which writes ``{"1_<word>": {"<word>": 1}}`` if it was given one."""
    if len(sets) == 1 and len(sets[0].tags) == 1:
        [(tag, count)] = sets[0].tags.items()
        if count == 1 and sets[0].name == f"1_{tag}" and not sets[0].image_count:
            return [tag]
    return []


def _find_folder_words(sets: list[TrainingSet]) -> Iterable[str]:
    """Iterate the class words of the training sets, or else the words in the names of their folders."""
    seen: set[str] = set()
    for each in sets:
        found = _FOLDER.match(each.name)
        word = (each.class_tokens or (found[1] if found else "")).strip()[:400]
        key = word.casefold()
        if word and key not in seen and not _is_generic(key):
            seen.add(key)
            yield word


def _is_generic(word: str) -> bool:
    """Return whether a folder's word in lower case says nothing of its pictures."""
    return len(word) < 100 and _GENERIC.match(word) is not None


def _guess(sets: list[TrainingSet]) -> list[str]:
    """Return the tags of nearly all pictures of a set, the most frequent first, without those that are common."""
    shares: dict[str, float] = {}
    for each in sets:
        if each.image_count < FEWEST_PICTURES or each.has_captions:
            continue
        for tag, count in each.tags.items():
            share = min(1.0, count / each.image_count)
            if share >= GUESSED_SHARE and tag.strip().casefold() not in _COMMON_TAGS:
                shares[tag] = max(share, shares.get(tag, 0.0))
    return sorted(shares, key=lambda tag: -shares[tag])
