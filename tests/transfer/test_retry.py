from pathlib import Path

import pytest

from modelyard.transfer.failures import (
    BadAnswer,
    DiskFull,
    FileChanged,
    Refused,
    TransferFailed,
    Unreachable,
    WrongBytes,
)
from modelyard.transfer.network import Network
from modelyard.transfer.retry import Tries, expired, passes


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504])
def test_these_refusals_pass(status: int) -> None:
    assert passes(Refused(status, "Not now."))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 411, 412, 413, 416, 501, 507])
def test_these_refusals_stay(status: int) -> None:
    assert not passes(Refused(status, "Never."))


@pytest.mark.parametrize("code", ["BadDigest", "checksum_wrong"])
def test_bytes_garbled_on_the_way_are_sent_again(code: str) -> None:
    assert passes(Refused(400, "The checksum is another one.", code=code))


@pytest.mark.parametrize("failure", [WrongBytes("a", "b"), FileChanged(Path("x")), DiskFull("full")])
def test_what_is_wrong_here_does_not_pass(failure: TransferFailed) -> None:
    assert not passes(failure)


@pytest.mark.parametrize("failure", [Refused(403, "Expired."), Refused(400, "Old.", code="ExpiredToken")])
def test_a_fresh_url_may_help(failure: TransferFailed) -> None:
    assert expired(failure)


def test_waits_grow_and_stay_bounded() -> None:
    tries = Tries(Network(tries=20, first_wait_seconds=1, longest_wait_seconds=8), renews=False)

    waits = [tries.wait_after(Unreachable("gone")) for _ in range(10)]

    longest = [1, 2, 4, 8, 8, 8, 8, 8, 8, 8]
    assert all(top / 2 <= wait <= top for wait, top in zip(waits, longest, strict=True))


def test_retry_after_is_honoured() -> None:
    tries = Tries(Network(first_wait_seconds=0.1), renews=False)

    assert tries.wait_after(Refused(503, "Busy.", retry_after=7)) == 7


def test_a_server_cannot_put_us_off_for_a_day() -> None:
    assert Tries(Network(), renews=False).wait_after(Refused(503, "Busy.", retry_after=86_400)) == 300


def test_the_last_failure_comes_out_when_tries_run_out() -> None:
    tries = Tries(Network(tries=3), renews=False)
    tries.wait_after(Unreachable("first"))
    tries.wait_after(Unreachable("second"))

    with pytest.raises(BadAnswer, match="third"):
        tries.wait_after(BadAnswer("third"))


def test_progress_gives_all_tries_back() -> None:
    tries = Tries(Network(tries=2), renews=False)

    for _ in range(5):
        tries.wait_after(Unreachable("gone"))
        tries.progressed()


def test_a_fresh_url_is_tried_at_once_and_only_twice_in_a_row() -> None:
    tries = Tries(Network(), renews=True)

    assert [tries.wait_after(Refused(403, "Expired.")) for _ in range(2)] == [0, 0]
    with pytest.raises(Refused):
        tries.wait_after(Refused(403, "Expired."))
