from hypothesis import given
from hypothesis import strategies as st

from modelyard.transfer.spans import Spans

_SPAN = st.tuples(st.integers(0, 60), st.integers(0, 60))


@given(st.lists(_SPAN, max_size=30), _SPAN)
def test_spans_know_what_a_set_of_bytes_knows(added: list[tuple[int, int]], asked: tuple[int, int]) -> None:
    spans, bytes_there = Spans(), set[int]()
    for start, end in added:
        spans.add(start, end)
        bytes_there.update(range(start, end))

    missing = [byte for start, end in spans.missing(*asked) for byte in range(start, end)]
    assert missing == [byte for byte in range(*asked) if byte not in bytes_there]
    assert spans.total == len(bytes_there)
    assert spans.frontier() == next(byte for byte in range(100) if byte not in bytes_there)


@given(st.lists(_SPAN, max_size=30))
def test_spans_neither_touch_nor_overlap(added: list[tuple[int, int]]) -> None:
    ends = [edge for span in Spans(added) for edge in span]

    assert ends == sorted(set(ends))
