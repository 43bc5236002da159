from modelyard.agent.transfer_rate import WINDOW_SECONDS, Progress, TransferRate

TOTAL = 1_000


def test_seconds_left_follow_the_rate_of_the_last_half_minute() -> None:
    rate = TransferRate()
    assert rate.estimate_seconds_left(0, Progress(0, TOTAL)) is None
    assert rate.estimate_seconds_left(1, Progress(10, TOTAL)) is None
    assert rate.estimate_seconds_left(10, Progress(100, TOTAL)) == 90
    assert rate.estimate_seconds_left(10 + WINDOW_SECONDS, Progress(130, TOTAL)) == 870


def test_seconds_left_are_unknown_while_nothing_is_transferred() -> None:
    rate = TransferRate()
    for moment in range(60):
        assert rate.estimate_seconds_left(moment, Progress(100, TOTAL)) is None


def test_seconds_left_start_anew_with_another_plan() -> None:
    rate = TransferRate()
    rate.estimate_seconds_left(0, Progress(0, TOTAL))
    assert rate.estimate_seconds_left(10, Progress(500, TOTAL)) == 10
    assert rate.estimate_seconds_left(12, Progress(0, TOTAL)) is None
    assert rate.estimate_seconds_left(22, Progress(100, TOTAL)) == 90


def test_seconds_left_of_a_finished_plan_are_0() -> None:
    rate = TransferRate()
    rate.estimate_seconds_left(0, Progress(0, TOTAL))
    assert rate.estimate_seconds_left(10, Progress(TOTAL, TOTAL)) == 0


def test_seconds_left_after_reset_do_not_count_the_plan_before() -> None:
    rate = TransferRate()
    rate.estimate_seconds_left(0, Progress(0, TOTAL))
    rate.reset()
    assert rate.estimate_seconds_left(10, Progress(500, TOTAL)) is None
