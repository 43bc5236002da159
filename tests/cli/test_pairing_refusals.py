"""Pairings that end without a key: the message names the command that helps."""

import pytest

from modelyard.wire.credentials import PairingStarted
from modelyard.wire.problems import PairingNotFound
from tests.cli.conftest import Command
from tests.client.scripted_server import Responses, run_scripted_server

STARTED = PairingStarted(
    device_code="pc-1", user_code="AB7K-PNQ3", verification_uri="http://models.example/pair", expires_in=300
)


@pytest.mark.slow
def test_machine_add_wrong_code_names_the_command_of_the_machine(signed_in: Command) -> None:
    ran = signed_in("machine", "add", "ABCD-EFGH")
    assert ran.code == 4
    assert "older than five minutes" in ran.err
    assert "run modelyard agent pair on the machine again" in ran.err
    assert "modelyard login" not in ran.err


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (("agent", "pair", "--url"), "modelyard agent pair --url {url}"),
        (("login", "--device"), "modelyard login {url} --device"),
    ],
    ids=["agent", "login"],
)
def test_pairing_that_nobody_confirms_names_the_command_that_starts_again(
    modelyard: Command, arguments: tuple[str, ...], command: str
) -> None:
    responses = Responses()
    responses.add(200, STARTED.model_dump(mode="json"))
    responses.add(404, PairingNotFound("This pairing has ended.").to_json())
    with run_scripted_server(responses) as url:
        ran = modelyard(*arguments, url)
    assert ran.code == 4
    assert "This pairing has ended." in ran.err
    assert f"Start again: {command.format(url=url)}\n" in ran.err
