"""The filter of model lists, shared by the API route, the client and the command line."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from modelyard.wire.hashes import HASH_HELP, HASH_PATTERN
from modelyard.wire.models import ModelStatus
from modelyard.wire.schemas import LINE_PATTERN, Schema
from modelyard.wire.versions import Verification

Sort = Literal["created_at", "-created_at", "display_name", "-display_name", "file_size", "-file_size"]
FilterText = Annotated[str, Field(max_length=255, pattern=LINE_PATTERN)]

# Each word of a search is compared with the text of every model that the index returns.
MAX_SEARCH_WORDS = 8
# The characters at which `str.split` splits, without control characters, which names must not have. Written out
# for the reason given in `wire.schemas`.
SPACES = r" \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_WORD = rf"[^\x00-\x1f\x7f{SPACES}]+"
# Only for the OpenAPI document; `_check_word_count` enforces the rule, with a readable message.
SEARCH_PATTERN = rf"^[{SPACES}]*({_WORD}([{SPACES}]+{_WORD}){{0,{MAX_SEARCH_WORDS - 1}}}[{SPACES}]*)?$"


def _check_word_count(text: str) -> str:
    """Return the search text; raise ValueError if it has more than ``MAX_SEARCH_WORDS`` words."""
    if len(text.split()) > MAX_SEARCH_WORDS:
        raise ValueError(f"A search has at most {MAX_SEARCH_WORDS} words")
    return text


SearchText = Annotated[
    str,
    Field(max_length=255, pattern=LINE_PATTERN, json_schema_extra={"pattern": SEARCH_PATTERN}),
    AfterValidator(_check_word_count),
]


class ModelFilter(Schema):
    """Which models a list contains, and in which order; a model must match all filters, and None filters nothing."""

    model_type: FilterText | None = Field(
        default=None, description="Only this type; aliases are the same.", examples=["checkpoints"]
    )
    model_status: ModelStatus | None = Field(
        default=None, description="Only active or disabled models.", examples=["active"]
    )
    verification: Verification | None = Field(
        default=None, description="Only models in this verification state.", examples=["verified"]
    )
    tag: FilterText | None = Field(default=None, description="Only models with this tag.", examples=["portrait"])
    file_hash: Annotated[str, Field(max_length=80, pattern=HASH_PATTERN)] | None = Field(
        default=None, description=f"Only models whose content has this hash: {HASH_HELP}.", examples=["a5f58eb1c3"]
    )
    missing_on: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = Field(
        default=None,
        description="Only models that should be on this machine, or on `any`, and are not ready there.",
        examples=["any"],
    )
    deleted: bool = Field(
        default=False, description="Only models in the trash; without it, only models that are not.", examples=[False]
    )
    q: SearchText | None = Field(
        default=None,
        description=f"Only models with every word in their name, path or a tag, or as a hash of their content from 8 "
        f"digits on; at most {MAX_SEARCH_WORDS} words.",
        examples=["sdxl base"],
    )
    sort: Sort = Field(default="-created_at", description="`-` for descending.", examples=["display_name"])

    @property
    def search_words(self) -> list[str]:
        """The distinct words of ``q`` in order, casefolded as ``ModelRow.searched`` is; empty without a search."""
        return list(dict.fromkeys((self.q or "").casefold().split()))

    def build_query(self) -> dict[str, str]:
        """Return the fields that differ from their defaults as texts for query parameters, for instance ``true``."""
        values = self.model_dump(mode="json", exclude_defaults=True)
        return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in values.items()}
