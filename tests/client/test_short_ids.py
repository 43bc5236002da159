from uuid import UUID

from modelyard.client.references.short_ids import shorten_ids

ONE = UUID("0199f3a1-9d3c-7000-8000-000000000001")


def test_shorten_ids_of_different_starts_have_eight_characters() -> None:
    other = UUID("0199f3a2-9d3c-7000-8000-000000000001")
    assert shorten_ids([ONE, other]) == {ONE: "0199f3a1", other: "0199f3a2"}


def test_shorten_ids_with_a_common_start_are_as_long_as_needed_and_end_with_no_dash() -> None:
    other = UUID("0199f3a1-8d3c-7000-8000-000000000001")
    assert shorten_ids([ONE, other]) == {ONE: "0199f3a1-9", other: "0199f3a1-8"}


def test_shorten_ids_of_one_id_or_none() -> None:
    assert shorten_ids([ONE, ONE]) == {ONE: "0199f3a1"}
    assert shorten_ids([]) == {}
