from uuid import UUID

from modelyard.client.references.matching import has_short_id
from modelyard.client.references.short_ids import shorten_ids

ONE = UUID("0199f3a1-9d3c-7000-8000-000000000001")


def test_shorten_ids_of_different_milliseconds_have_these_as_their_start() -> None:
    other = UUID("0199f3a1-9d3d-7000-8000-000000000001")
    assert shorten_ids([ONE, other]) == {ONE: "0199f3a1-9d3c", other: "0199f3a1-9d3d"}


def test_shorten_ids_start_is_that_of_no_id_of_another_millisecond_that_is_not_shown() -> None:
    (shown,) = shorten_ids([ONE]).values()
    assert has_short_id(ONE, shown)
    assert not has_short_id(UUID("0199f3a1-9d3b-7000-8000-000000000001"), shown)


def test_shorten_ids_with_a_common_start_are_as_long_as_needed_and_end_with_no_dash() -> None:
    other = UUID("0199f3a1-9d3c-7000-9000-000000000001")
    assert shorten_ids([ONE, other]) == {ONE: "0199f3a1-9d3c-7000-8", other: "0199f3a1-9d3c-7000-9"}


def test_shorten_ids_of_one_id_or_none() -> None:
    assert shorten_ids([ONE, ONE]) == {ONE: "0199f3a1-9d3c"}
    assert shorten_ids([]) == {}
