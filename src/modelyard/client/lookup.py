"""Find models by hashes, by paths, or by the content of files on this machine."""

import asyncio
import os
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from modelyard.client.api.registry import RegistryApi
from modelyard.transfer.hashing import DigestCache, compute_sha256
from modelyard.transfer.progress import OnProgress, ignore_progress
from modelyard.wire.hashes.lookups import MAX_LOOKUPS, LookupMatch, ModelLookup
from modelyard.wire.hashes.texts import is_hash


@dataclass(frozen=True)
class LookupAnswer:
    """The versions of models that a text means; none if the registry has no such model.

    ``is_capped``: there may be more, since the registry looked at the newest models with this hash only.
    """

    text: str
    match_list: list[LookupMatch]
    is_capped: bool


@dataclass(frozen=True)
class FoundMatches:
    """The versions of models that each hash or path means; one that means none is left out.

    ``capped`` has the hashes of which there may be more.
    """

    by_question: Mapping[str, Sequence[LookupMatch]]
    capped: Set[str]


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
        LookupAnswer(text, [*found.by_question.get(question, ())], question in found.capped)
        for text, question in asked.items()
    ]


async def look_up_questions(registry: RegistryApi, questions: Sequence[str]) -> FoundMatches:
    """Return the versions of models that each of these hashes and paths means."""
    matches: dict[str, list[LookupMatch]] = {}
    capped = set[str]()
    for start in range(0, len(questions), MAX_LOOKUPS):
        part = questions[start : start + MAX_LOOKUPS]
        hashes, paths = [text for text in part if is_hash(text)], [text for text in part if not is_hash(text)]
        result = await registry.look_up_models(ModelLookup(hashes=hashes, paths=paths))
        for match in result.match_list:
            matches.setdefault(match.asked, []).append(match)
        capped.update(result.capped_list)
    return FoundMatches(matches, capped)


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
