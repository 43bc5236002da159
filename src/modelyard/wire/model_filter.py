"""The filter of model lists, and the counts of what it finds, shared by the API, the client and the command line."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from modelyard.wire.hashes.texts import HASH_HELP, HASH_PATTERN
from modelyard.wire.models import ModelStatus
from modelyard.wire.schemas import Schema
from modelyard.wire.search.grammar import QUALIFIERS, SPACES, SearchTerm, parse_search
from modelyard.wire.search.values import MAX_SEARCH_LENGTH, MAX_SEARCH_VALUES, check_search
from modelyard.wire.texts.rules import LINE_PATTERN
from modelyard.wire.versions import Verification

Sort = Literal[
    "created_at",
    "-created_at",
    "display_name",
    "-display_name",
    "file_size",
    "-file_size",
    "last_used_at",
    "-last_used_at",
]
FilterText = Annotated[str, Field(max_length=255, pattern=LINE_PATTERN)]

_WORD = rf"[^\x00-\x1f\x7f{SPACES}]+"
# Only for the OpenAPI document; ``check_search`` enforces the rules, with readable messages.
SEARCH_PATTERN = rf"^[{SPACES}]*({_WORD}([{SPACES}]+{_WORD}){{0,{MAX_SEARCH_VALUES - 1}}}[{SPACES}]*)?$"

SEARCH_HELP = (
    "Only models that match this search: words in any order, and qualifiers such as `type:loras`, `-tag:old` or "
    f"`size:>2gb`. Qualifiers: {', '.join(f'`{name}:`' for name in QUALIFIERS)}. At most {MAX_SEARCH_VALUES} words and "
    "values. A value of `base:` without quotes is compared with the first words of a base model."
)
SearchText = Annotated[
    str,
    Field(max_length=MAX_SEARCH_LENGTH, pattern=LINE_PATTERN, json_schema_extra={"pattern": SEARCH_PATTERN}),
    AfterValidator(check_search),
]


FacetName = Literal["type", "base", "tag", "state", "by", "is"]
# Without ``is``, whose values are counted each by itself.
DEFAULT_FACETS: tuple[FacetName, ...] = ("type", "base", "tag", "state", "by")
# Exact up to so many models. Beyond, only the newest ones are counted.
MAX_COUNTED_MODELS = 10_000
# A list is sorted by its best matches if a search finds fewer models.
MAX_RANKED_MODELS = 1_000
# The values of one facet in a response.
MAX_FACET_VALUES = 50


class ModelConditions(Schema):
    """Which models to find; a model must match all filters, and None filters nothing."""

    model_type: FilterText | None = Field(
        default=None, description="Only this type; aliases are the same.", examples=["checkpoints"]
    )
    model_status: ModelStatus | None = Field(
        default=None, description="Only active or disabled models.", examples=["active"]
    )
    verification: Verification | None = Field(
        default=None, description="Only models in this verification state.", examples=["verified"]
    )
    tag: FilterText | None = Field(
        default=None,
        description="Only models with this tag in this letter case; `tag:` in `q` ignores it.",
        examples=["portrait"],
    )
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
    q: SearchText | None = Field(default=None, description=SEARCH_HELP, examples=["sdxl base type:loras"])

    @property
    def search_terms(self) -> list[SearchTerm]:
        """The conditions of ``q``; empty without a search."""
        return parse_search(self.q or "")

    def build_query(self) -> dict[str, str]:
        """Return the fields that differ from their defaults as texts for query parameters, for instance ``true``."""
        values = self.model_dump(mode="json", exclude_defaults=True)
        return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in values.items()}


class ModelFilter(ModelConditions):
    """Which models a list contains, and in which order."""

    sort: Sort | None = Field(
        default=None,
        description="`-` for descending. Without it, the best matches are first if a search has words and finds fewer "
        f"than {MAX_RANKED_MODELS:,} models: those with a word in the name, then in the name of the file, a trigger "
        "word or a tag. Otherwise the newest are first.",
        examples=["display_name"],
    )

    @property
    def order(self) -> Sort:
        """The order of a list that is not sorted by its best matches."""
        return self.sort or "-created_at"


class FacetQuery(ModelConditions):
    """Which models to count, and by what."""

    facet: FacetName | None = Field(
        default=None,
        description="Only this facet. `is` counts the models that are `missing` on machines, `pending`, `damaged` "
        "(also those that failed verification) or `disabled`, and only if it is requested.",
        examples=["tag"],
    )
    prefix: FilterText | None = Field(
        default=None,
        description="Only values of which a word begins with this text, in any case; to search a long facet.",
        examples=["por"],
    )


class FacetValue(Schema):
    """One value of a facet."""

    value: str = Field(description="The value, as a qualifier of a search takes it.", examples=["SDXL 1.0"])
    count: int = Field(description="How many models have it.", examples=[214])


class Facet(Schema):
    """The most frequent values of one qualifier."""

    name: FacetName = Field(description="The qualifier.", examples=["base"])
    value_list: list[FacetValue] = Field(
        description=f"At most {MAX_FACET_VALUES} values, the most frequent first. Models without a value are not "
        "counted; a model with several is counted for each.",
        examples=[[]],
    )
    model_count: int | None = Field(
        description="How many models the facet counts: those that match, but for what the search demands of the facet "
        f"itself; of `tag`, all that match. Exact up to {MAX_COUNTED_MODELS:,}; null for `is`.",
        examples=[4210],
    )
    is_capped: bool = Field(
        description=f"Whether more than {MAX_COUNTED_MODELS:,} models match: then only the newest of them are counted. "
        "`is`: whether a value has more models than were counted.",
        examples=[False],
    )
    has_more: bool = Field(
        description="Whether there are more values; `prefix` searches all of them.", examples=[False]
    )


class FacetList(Schema):
    """The facets of a search."""

    facet_list: list[Facet] = Field(
        description="The facets. What the search itself demands of a facet (except of `tag`) does not count for it, so "
        "that the other choices have counts too.",
        examples=[[]],
    )
