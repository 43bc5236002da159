import pytest

from modelyard.agent.connection import Link
from modelyard.transfer.failures import Unreachable
from modelyard.wire.problems import AgentTaken, KeyNotAllowed, NotAMember, Unauthenticated, Unavailable


def test_an_answer_after_silence_is_news_once() -> None:
    link = Link()
    assert link.answered()
    assert not link.answered()
    assert link.is_up


@pytest.mark.parametrize("failure", [Unreachable("It does not answer."), Unavailable("The disk is full.")])
def test_a_registry_that_is_away_is_lost_and_nothing_is_refused(failure: Unreachable | Unavailable) -> None:
    link = Link("connected")
    assert link.failed(failure)
    assert (link.state, link.reason, link.is_revoked) == ("lost", str(failure), False)


@pytest.mark.parametrize("kind", [KeyNotAllowed, NotAMember, AgentTaken])
def test_a_refusal_is_told_with_what_to_do_and_is_no_revocation(kind: type[KeyNotAllowed]) -> None:
    link = Link("connected")
    assert link.failed(kind("Another machine has this key."))
    assert link.state == "refused"
    assert "Another machine has this key." in (link.reason or "")
    assert not link.is_revoked


def test_only_an_unknown_key_is_revoked() -> None:
    link = Link("connected")
    link.failed(Unauthenticated("The key is unknown."))
    assert link.is_revoked


def test_a_refused_machine_stays_refused_while_its_registry_is_away() -> None:
    link = Link("connected")
    link.failed(Unauthenticated("The key is unknown."))
    assert not link.failed(Unreachable("It does not answer."))
    assert link.state == "refused"
    assert link.answered()
    assert not link.is_revoked
