from hypothesis import given
from hypothesis import strategies as st

from modelyard.transfer.byte_ranges import ByteRanges

_SPAN = st.tuples(st.integers(0, 60), st.integers(0, 60))


@given(st.lists(_SPAN, max_size=30), _SPAN)
def test_byte_ranges_random_additions_match_a_set_of_offsets(
    added: list[tuple[int, int]], requested: tuple[int, int]
) -> None:
    spans, bytes_there = ByteRanges(), set[int]()
    for start, end in added:
        spans.add(start, end)
        bytes_there.update(range(start, end))

    missing = [byte for start, end in spans.find_missing(*requested) for byte in range(start, end)]
    assert missing == [byte for byte in range(*requested) if byte not in bytes_there]
    assert spans.total == len(bytes_there)
    assert spans.count_leading_bytes() == next(byte for byte in range(100) if byte not in bytes_there)


@given(st.lists(_SPAN, max_size=30))
def test_byte_ranges_random_additions_stay_sorted_and_disjoint(added: list[tuple[int, int]]) -> None:
    ends = [edge for span in ByteRanges(added) for edge in span]

    assert ends == sorted(set(ends))
