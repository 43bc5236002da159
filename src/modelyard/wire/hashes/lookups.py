"""API schemas of lookups: finding models by hashes of their content, by paths and by ids."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StrictBool, StringConstraints, ValidationInfo, field_validator

from modelyard.wire.hashes.texts import HASH_HELP, HASH_PATTERN
from modelyard.wire.models import Model
from modelyard.wire.schemas import EXAMPLE_HASH, EXAMPLE_ID, Schema
from modelyard.wire.texts.rules import LINE_PATTERN

MatchName = Literal["sha256", "blake3", "autov1", "autov2", "autov3", "crc32", "path", "id"]
MAX_LOOKUPS = 1_000
# Many models may have the same content, and many contents the same first digits.
MAX_MATCHES_PER_HASH, MAX_MATCHES_OF_ALL_HASHES = 100, 3_000
# So many hashes in a request may each have ``MAX_MATCHES_PER_HASH``.
MAX_UNSHARED_HASHES = MAX_MATCHES_OF_ALL_HASHES // MAX_MATCHES_PER_HASH
MAX_RECORDS = 250
HashText = Annotated[str, StringConstraints(strict=True, max_length=80, pattern=HASH_PATTERN)]
# Any text may be asked for: one that is no valid path matches nothing.
LookupPath = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=1024, pattern=LINE_PATTERN)]


class ModelLookup(Schema):
    """Hashes, paths and ids to find models by, at most 1,000 in all."""

    hashes: list[HashText] = Field(
        default_factory=list, max_length=MAX_LOOKUPS, description=f"Hashes: {HASH_HELP}.", examples=[["a5f58eb1c3"]]
    )
    paths: list[LookupPath] = Field(
        default_factory=list,
        max_length=MAX_LOOKUPS,
        description="Paths inside the models directory, with or without `models/`.",
        examples=[["loras/ink.safetensors"]],
    )
    ids: list[UUID] = Field(
        default_factory=list, max_length=MAX_LOOKUPS, description="Ids of models.", examples=[[EXAMPLE_ID]]
    )
    records: StrictBool = Field(
        default=False,
        description="Also return the records of the models that are found. Machines' keys may not read records.",
        examples=[True],
    )

    @field_validator("paths", "ids")
    @classmethod
    def _check_count(cls, asked: list[Any], values: ValidationInfo) -> list[Any]:
        """Return a list; raise ValueError if there are more than ``MAX_LOOKUPS`` hashes, paths and ids up to it."""
        if len(asked) + sum(len(each) for each in values.data.values() if isinstance(each, list)) > MAX_LOOKUPS:
            raise ValueError(f"A lookup has at most {MAX_LOOKUPS:,} hashes, paths and ids in all")
        return asked


class LookupMatch(Schema):
    """A version of a model that one of the hashes, paths or ids means."""

    asked: str = Field(description="The hash, path or id, as sent.", examples=["a5f58eb1c3"])
    matched_by: MatchName = Field(
        description="What it matched. If several kinds of hash match, the most reliable one.", examples=["autov2"]
    )
    id: UUID = Field(description="The model's id.", examples=[EXAMPLE_ID])
    version: int = Field(description="The version of the model that has this content.", examples=[1])
    model_path: str = Field(description="The model's path, as sent.", examples=["models/loras/ink.safetensors"])
    file_hash: str | None = Field(
        default=None,
        description="`sha256:` and the hex digest of the version's content; null until it is verified.",
        examples=[EXAMPLE_HASH],
    )


class LookupResult(Schema):
    """The models that a lookup found."""

    match_list: list[LookupMatch] = Field(
        description="Matches in the order of the request: hashes, paths, ids. A hash that nothing matches has none, "
        "one that several models have has several, and one that was sent twice is answered once.",
        examples=[[]],
    )
    capped_list: list[str] = Field(
        default_factory=list,
        description="The hashes, as sent, that may have more matches than `match_list` has: a hash has at most "
        f"{MAX_MATCHES_PER_HASH:,}: if more models have the same content, the newest, and if more contents match, the "
        f"first in the order of their hashes. All hashes have at most {MAX_MATCHES_OF_ALL_HASHES:,}. Ask for at most "
        f"{MAX_UNSHARED_HASHES} of them at once, or list the models with one by `GET /models?file_hash=`. One may "
        "have no match: if no model has the first contents, or if the newest models are hidden from a machine's key.",
        examples=[[]],
    )
    model_list: list[Model] | None = Field(
        default=None,
        description=f"With `records`: the records of the first {MAX_RECORDS} models in `match_list`, each once and in "
        "the same order; of fewer if they are large, since no further part of them is read after some megabytes.",
        examples=[None],
    )
    has_more_records: bool = Field(
        default=False,
        description="With `records`: whether `match_list` has models whose record is not in `model_list`. Ask for "
        "those by their ids.",
        examples=[False],
    )


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
