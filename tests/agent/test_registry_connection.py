import pytest

from modelyard.agent.registry.connection import RegistryConnection
from modelyard.transfer.errors import Unreachable
from modelyard.wire.problems import AgentTaken, KeyNotAllowed, NotAMember, Unauthenticated, Unavailable


def test_registry_connection_first_success_returns_true_once() -> None:
    connection = RegistryConnection()
    assert connection.record_success()
    assert not connection.record_success()
    assert connection.is_up


@pytest.mark.parametrize("failure", [Unreachable("It does not answer."), Unavailable("The disk is full.")])
def test_registry_connection_unreachable_registry_is_lost(failure: Unreachable | Unavailable) -> None:
    connection = RegistryConnection("connected")
    assert connection.record_failure(failure)
    assert (connection.state, connection.reason, connection.is_revoked) == ("lost", str(failure), False)


def test_registry_connection_lost_reason_does_not_tell_a_person_to_try_again() -> None:
    connection = RegistryConnection("connected")
    connection.record_failure(Unavailable("The database does not answer. Try again.", retry_after=2))
    assert connection.reason == "The database does not answer."


def test_registry_connection_since_is_the_time_of_the_change_of_state() -> None:
    connection = RegistryConnection()
    connection.record_success()
    connected = connection.since
    connection.record_failure(Unreachable("It does not answer."))
    lost = connection.since
    connection.record_failure(Unreachable("The name is unknown."))
    assert connected is not None
    assert lost is not None
    assert lost >= connected
    assert lost is not connected
    assert (connection.since, connection.reason) == (lost, "The name is unknown.")


@pytest.mark.parametrize("kind", [KeyNotAllowed, NotAMember, AgentTaken])
def test_registry_connection_refusal_is_not_a_revocation(kind: type[KeyNotAllowed]) -> None:
    connection = RegistryConnection("connected")
    assert connection.record_failure(kind("Another machine has this key."))
    assert connection.state == "refused"
    assert "Another machine has this key." in (connection.reason or "")
    assert not connection.is_revoked


def test_registry_connection_taken_name_does_not_advise_another_key() -> None:
    connection = RegistryConnection("connected")
    connection.record_failure(AgentTaken("Choose another name."))
    assert "Choose another name." in (connection.reason or "")
    assert "another key" not in (connection.reason or "")


def test_registry_connection_unauthenticated_is_a_revocation() -> None:
    connection = RegistryConnection("connected")
    connection.record_failure(Unauthenticated("The key is unknown."))
    assert connection.is_revoked


def test_registry_connection_unknown_key_reason_does_not_mention_sign_in() -> None:
    connection = RegistryConnection("connected")
    connection.record_failure(Unauthenticated("Sign in: the token is missing, unknown or expired."))
    assert "Sign in" not in (connection.reason or "")
    assert "revoked" in (connection.reason or "")
    assert "modelyard agent pair" in (connection.reason or "")


def test_registry_connection_refused_stays_refused_when_unreachable() -> None:
    connection = RegistryConnection("connected")
    connection.record_failure(Unauthenticated("The key is unknown."))
    assert not connection.record_failure(Unreachable("It does not answer."))
    assert connection.state == "refused"
    assert connection.record_success()
    assert not connection.is_revoked


def test_registry_connection_name_that_another_key_uses_has_the_commands_for_another_name() -> None:
    connection = RegistryConnection("connected")
    connection.record_failure(Unauthenticated("The key is unknown.", agent_id="vm"))
    assert connection.is_revoked
    reason = connection.reason or ""
    assert "a machine with another key uses its name, 'vm'" in reason
    assert "stop this agent, pair the machine again (modelyard agent pair)" in reason
    assert "modelyard agent run --agent-id NAME" in reason


def test_registry_connection_name_that_the_key_does_not_belong_to_has_the_command_with_its_own() -> None:
    connection = RegistryConnection("connected")
    connection.record_failure(KeyNotAllowed("The key belongs to 'vm'.", agent_id="vm"))
    assert "modelyard agent run --agent-id vm" in (connection.reason or "")
