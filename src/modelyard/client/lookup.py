"""Find models by hashes, by paths, or by the content of files on this machine."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modelyard.client.api.registry import RegistryApi
from modelyard.transfer.hashing import DigestCache, compute_sha256
from modelyard.transfer.progress import OnProgress, ignore_progress
from modelyard.wire.hashes.lookups import (
    MAX_LOOKUPS,
    MAX_MATCHES_PER_HASH,
    MAX_UNSHARED_HASHES,
    LookupMatch,
    ModelLookup,
)
from modelyard.wire.hashes.texts import is_hash


@dataclass(frozen=True)
class LookupAnswer:
    """The versions of models that a text means, and the hash or path that the registry was asked for.

    ``is_capped``: there may be more than are listed.
    """

    text: str
    question: str
    match_list: list[LookupMatch]
    is_capped: bool

    @property
    def state(self) -> Literal["found", "unclear", "not found"]:
        """Whether the registry has such a model; unclear if it did not look at all that the text may mean."""
        if self.match_list:
            return "found"
        return "unclear" if self.is_capped else "not found"


@dataclass(frozen=True)
class FoundMatches:
    """The versions of models that each hash or path means; one that means none is left out.

    ``capped`` has the hashes of which there may be more.
    """

    by_question: Mapping[str, Sequence[LookupMatch]]
    capped: frozenset[str]


async def look_up(
    registry: RegistryApi, texts: Sequence[str], digests: DigestCache, on_progress: OnProgress = ignore_progress
) -> list[LookupAnswer]:
    """Return the models that each text means: a file of this machine, which is hashed, a hash, or a model path.

    Raises:
        ValueError: a text is none of these.
        DiskFailed: a file cannot be read.
    """
    asked = {text: await _build_question(text, digests, on_progress) for text in dict.fromkeys(texts)}
    found = await look_up_questions(registry, [*dict.fromkeys(asked.values())])
    return [
        LookupAnswer(text, question, [*found.by_question.get(question, ())], question in found.capped)
        for text, question in asked.items()
    ]


async def look_up_questions(registry: RegistryApi, questions: Sequence[str]) -> FoundMatches:
    """Return the versions of models that each of these hashes and paths means.

    Hashes with too few matches, because all hashes of a request share a number of them, are asked for again in smaller
    requests.
    """
    found = await _look_up_parts(registry, questions, MAX_LOOKUPS)
    less = {text for text in found.capped if len(found.by_question.get(text, ())) < MAX_MATCHES_PER_HASH}
    if not less or sum(map(is_hash, questions)) <= MAX_UNSHARED_HASHES:
        return found
    again = await _look_up_parts(registry, [text for text in questions if text in less], MAX_UNSHARED_HASHES)
    return FoundMatches({**found.by_question, **again.by_question}, (found.capped - less) | again.capped)


async def _look_up_parts(registry: RegistryApi, questions: Sequence[str], size: int) -> FoundMatches:
    """Look up hashes and paths, so many with each request."""
    matches: dict[str, list[LookupMatch]] = {}
    capped = set[str]()
    for start in range(0, len(questions), size):
        part = questions[start : start + size]
        hashes, paths = [text for text in part if is_hash(text)], [text for text in part if not is_hash(text)]
        result = await registry.look_up_models(ModelLookup(hashes=hashes, paths=paths))
        for match in result.match_list:
            matches.setdefault(match.asked, []).append(match)
        capped.update(result.capped_list)
    return FoundMatches(matches, frozenset(capped))


async def _build_question(text: str, digests: DigestCache, on_progress: OnProgress) -> str:
    """Return the hash or path that the registry is asked for.

    Raises:
        ValueError: the text is neither a file, nor a hash, nor a path.
    """
    # False also for a text that is too long for a file name, which ``Path.is_file`` raises for.
    if await asyncio.to_thread(os.path.isfile, text):
        return f"sha256:{await compute_sha256(Path(text), on_progress, cache=digests)}"
    if is_hash(text) or "/" in text:
        return text
    raise ValueError(
        f"'{text}' is no file here, no hash of at least 8 digits, and no path such as loras/ink.safetensors."
    )
