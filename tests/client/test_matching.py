"""The order in which a reference is matched with ids, unique values and names."""

from dataclasses import dataclass, replace
from uuid import UUID

import pytest

from modelyard.client.references.matching import ReferenceKind, get_only_match, match_interpretations, match_reference
from modelyard.wire.problems import CredentialNotFound

FIRST = UUID("0199f3a1-9d3c-7000-8000-000000000001")
SECOND = UUID("0199f3a1-8d3c-7000-8000-000000000002")


@dataclass(frozen=True)
class Thing:
    id: UUID
    value: str
    name: str


THING = ReferenceKind[Thing](
    name="thing",
    get_id=lambda thing: thing.id,
    is_unique_value=lambda thing, text: thing.value == text,
    has_name=lambda thing, text: thing.name == text,
    show=lambda thing: thing.name,
)


@pytest.mark.parametrize(
    ("reference", "second_name"),
    [
        (str(FIRST), str(FIRST)),
        (str(FIRST).upper(), str(FIRST).upper()),
        ("value-1", "value-1"),
    ],
    ids=["id", "id in capitals", "unique value"],
)
def test_match_reference_to_id_or_unique_value_ignores_equal_names(reference: str, second_name: str) -> None:
    first, second = Thing(FIRST, "value-1", "one"), Thing(SECOND, "value-2", second_name)
    assert match_reference(THING, reference, [second, first]) == [first]


@pytest.mark.parametrize("short_id", ["0199f3a1-9", "0199F3A19D", FIRST.hex])
def test_match_reference_to_short_id_and_equal_name_returns_both(short_id: str) -> None:
    first, second = Thing(FIRST, "value-1", "one"), Thing(SECOND, "value-2", short_id)
    assert match_reference(THING, short_id, [first, second]) == [first, second]


@pytest.mark.parametrize("reference", ["0199f3a", "199f3a1-9d3c", "", "val"])
def test_match_reference_to_parts_of_ids_and_names_returns_none(reference: str) -> None:
    assert match_reference(THING, reference, [Thing(FIRST, "value-1", "one")]) == []


def test_match_interpretations_with_id_in_one_ignores_names_in_the_other() -> None:
    first, second = Thing(FIRST, "value-1", "one"), Thing(SECOND, "value-2", f"{FIRST}@1")
    interpretations = [(f"{FIRST}@1", [first, second]), (str(FIRST), [first, second])]
    assert match_interpretations(THING, interpretations) == [[], [first]]


def test_get_only_match_of_two_raises_with_ids_that_each_match_one() -> None:
    things = [Thing(FIRST, "value-1", "one"), Thing(SECOND, "value-2", "one")]
    with pytest.raises(CredentialNotFound, match="2 things") as refused:
        get_only_match(THING, "one", things, CredentialNotFound)
    for thing in things:
        assert str(thing.id) in refused.value.detail
        assert get_only_match(THING, str(thing.id), things, CredentialNotFound) == thing


def test_match_reference_to_id_of_no_object_is_not_a_name() -> None:
    assert match_reference(THING, str(FIRST), [Thing(SECOND, "value-2", str(FIRST))]) == []


def test_get_only_match_of_many_lists_ten_and_counts_the_others() -> None:
    things = [Thing(UUID(int=number), f"value-{number}", "one") for number in range(12)]
    with pytest.raises(CredentialNotFound) as refused:
        get_only_match(THING, "one", things, CredentialNotFound)
    assert [str(thing.id) in refused.value.detail for thing in things] == [True] * 10 + [False] * 2
    assert "2 more" in refused.value.detail


def test_get_only_match_of_two_without_ids_lists_what_shows_them() -> None:
    things = [Thing(FIRST, "value-1", "Farm"), Thing(SECOND, "value-2", "farm")]
    kind = replace(THING, get_id=lambda _: None, has_name=lambda thing, text: thing.name.casefold() == text)
    with pytest.raises(CredentialNotFound, match="'Farm', 'farm'"):
        get_only_match(kind, "farm", things, CredentialNotFound)
