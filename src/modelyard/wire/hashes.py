"""Content hashes by which models are found: parsing of a hash as people and tools write it, and the API schemas.

The names are those that model sites and web UIs show:

sha256  SHA-256 of the file; AutoV2 is its first 10 digits
blake3  BLAKE3 of the file
autov1  the first 8 digits of the SHA-256 of 64 KiB at the offset of 1 MiB (the oldest hash of stable-diffusion-webui)
autov3  SHA-256 of what follows the header of a safetensors file, usually cut to 12 digits: equal for files that differ
        in metadata only (``addnet_hash_safetensors`` of stable-diffusion-webui)
crc32   CRC-32 of the file, as in ZIP
"""

import re
from typing import Annotated, Literal, NamedTuple
from uuid import UUID

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from modelyard.wire.schemas import EXAMPLE_ID, LINE_PATTERN, Schema

HashName = Literal["sha256", "blake3", "autov1", "autov2", "autov3", "crc32"]
MatchName = Literal["sha256", "blake3", "autov1", "autov2", "autov3", "crc32", "path"]
# Shorter texts match too many files, and are words of names.
MIN_DIGITS = 8
AUTOV2_DIGITS = 10
MAX_LOOKUPS = 1_000

_DIGIT = "[0-9a-fA-F]"
# Written out without flags, because the pattern is published in OpenAPI.
HASH_PATTERN = (
    rf"^((([sS][hH][aA]256|[bB][lL][aA][kK][eE]3|[aA][uU][tT][oO][vV]3):)?(0[xX])?{_DIGIT}{{{MIN_DIGITS},64}}"
    rf"|([aA][uU][tT][oO][vV]1|[cC][rR][cC]32):(0[xX])?{_DIGIT}{{8}}"
    rf"|[aA][uU][tT][oO][vV]2:(0[xX])?{_DIGIT}{{{AUTOV2_DIGITS}}})$"
)
HASH_HELP = (
    "SHA-256, BLAKE3 or AutoV3 in full or from 8 digits on, AutoV1, AutoV2 or CRC32, in any case, with or without a "
    "prefix such as `sha256:` that names its kind"
)
_hash = re.compile(HASH_PATTERN)
HashText = Annotated[str, StringConstraints(strict=True, max_length=80, pattern=HASH_PATTERN)]


class HashCandidate(NamedTuple):
    """A kind of hash that a text may be, with its digits in lower case: all of them, or the first ones."""

    name: HashName
    digits: str


def parse_hash(text: str) -> list[HashCandidate]:
    """Return the hashes that a text may be, the most reliable kind first; none if it is not a hash.

    A prefix (``autov1:``) names the kind. Without one, the number of digits decides: 10 are an AutoV2, 8 may also be an
    AutoV1 or a CRC32. ``0x`` before the digits, as in ``modelspec.hash_sha256``, is ignored.
    """
    if _hash.fullmatch(text) is None:
        return []
    prefix, _, digits = text.lower().rpartition(":")
    digits = digits.removeprefix("0x")
    names: list[HashName] = ["autov2" if len(digits) == AUTOV2_DIGITS else "sha256", "blake3", "autov3"]
    if len(digits) == MIN_DIGITS:
        names += ["autov1", "crc32"]
    if prefix == "sha256":
        names[0] = "sha256"
    return [HashCandidate(name, digits) for name in names if prefix in ("", name)]


# Any text may be asked for: one that is no valid path matches nothing.
LookupPath = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=1024, pattern=LINE_PATTERN)]


class ModelLookup(Schema):
    """Hashes and paths to find models by, at most 1,000 in all."""

    hashes: list[HashText] = Field(
        default_factory=list, max_length=MAX_LOOKUPS, description=f"Hashes: {HASH_HELP}.", examples=[["a5f58eb1c3"]]
    )
    paths: list[LookupPath] = Field(
        default_factory=list,
        max_length=MAX_LOOKUPS,
        description="Paths inside the models directory, with or without `models/`.",
        examples=[["loras/ink.safetensors"]],
    )

    @field_validator("paths")
    @classmethod
    def _check_count(cls, paths: list[str], values: ValidationInfo) -> list[str]:
        """Return the paths; raise ValueError if there are more than ``MAX_LOOKUPS`` hashes and paths."""
        if len(paths) + len(values.data.get("hashes", ())) > MAX_LOOKUPS:
            raise ValueError(f"A lookup has at most {MAX_LOOKUPS:,} hashes and paths in all")
        return paths


class LookupMatch(Schema):
    """A version of a model that one of the hashes or paths means."""

    asked: str = Field(description="The hash or path, as sent.", examples=["a5f58eb1c3"])
    matched_by: MatchName = Field(
        description="What it matched. If several kinds of hash match, the most reliable one.", examples=["autov2"]
    )
    id: UUID = Field(description="The model's id.", examples=[EXAMPLE_ID])
    version: int = Field(description="The version of the model that has this content.", examples=[1])
    model_path: str = Field(description="The model's path, as sent.", examples=["models/loras/ink.safetensors"])


class LookupResult(Schema):
    """The models that a lookup found."""

    match_list: list[LookupMatch] = Field(
        description="Matches in the order of the request, hashes first. A hash that nothing matches has none, one that "
        "several models have has several, and one that was sent twice is answered once.",
        examples=[[]],
    )
    is_capped: bool = Field(description="Whether there were more matches than one response contains.", examples=[False])


class HashClaim(Schema):
    """A hash that the metadata of a file claims. Nothing checks it, and no search matches it."""

    name: str = Field(description="The metadata entry.", examples=["modelspec.hash_sha256"])
    digest: str = Field(description="Its text.", examples=["0x9f86d081884c7d65"])


class ModelHashes(Schema):
    """The hashes of a model's content that the registry has computed, as lower-case hex; null if not known yet."""

    sha256: str | None = Field(description="SHA-256 of the file; null until verified.", examples=["9f86d081…"])
    blake3: str | None = Field(description="BLAKE3 of the file; null until verified.", examples=["af1349b9…"])
    autov1: str | None = Field(
        description="8 digits: SHA-256 of 64 KiB at 1 MiB; null for files of at most 1 MiB.", examples=["4748a7f6"]
    )
    autov2: str | None = Field(description="The first 10 digits of the SHA-256.", examples=["9f86d08188"])
    autov3: str | None = Field(
        description="SHA-256 of what follows the header of a safetensors file, in full; other tools show its first 12 "
        "digits. Null for other formats, and until the registry has read the file for it.",
        examples=["22d8cb95b807…"],
    )
    crc32: str | None = Field(
        description="CRC-32 of the file; null until the registry has read the file for it.", examples=["daee95b7"]
    )
    claim_list: list[HashClaim] = Field(description="Hashes that the file itself claims.", examples=[[]])
