"""LoRA tags and embeddings in the texts of prompts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# As many nodes write them: <lora:name:strength>, with more strengths or block weights after further colons.
_tag = re.compile(r"<lora:([^<>:\n]{1,1000})(?::[^<>\n]{0,1000})?>", re.IGNORECASE)
# ComfyUI's `sd1_clip.py`: the name ends at a blank, commas at its end are removed. A weight may follow in parentheses.
_embedding = re.compile(r"(?<!\w)embedding:([^\s,:()<>\[\]{}|\"]{1,1000})")


@dataclass(frozen=True)
class PromptName:
    """A model that a text names, without extension where the text has none."""

    name: str
    folder: str  # "loras" or "embeddings"


def has_prompt_names(text: str) -> bool:
    """Return whether a text may name LoRAs or embeddings."""
    return "embedding:" in text or "<lora:" in text.lower()


def list_prompt_names(text: str) -> Iterator[PromptName]:
    """Yield the LoRA tags of a text, then its embeddings."""
    for match in _tag.finditer(text):
        yield PromptName(match[1].strip(), "loras")
    for match in _embedding.finditer(text):
        yield PromptName(match[1], "embeddings")
