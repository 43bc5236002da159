from pathlib import Path

import pytest
from pydantic import ValidationError

from modelyard.cli.explain import explained
from modelyard.client.library import NameUnfit
from modelyard.client.selection import NothingToPush
from modelyard.transfer import failures
from modelyard.wire import problems
from modelyard.wire.teams import NewTeam


@pytest.mark.parametrize("kind", problems.every_problem())
def test_every_problem_has_a_sentence_an_exit_code_and_no_open_braces(kind: type[problems.Problem]) -> None:
    told = explained(kind("What happened."))
    assert told is not None
    assert told.sentence == "What happened."
    assert told.exit_code in range(1, 7)
    assert not any("{" in line for line in told.fix)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (problems.InternalError("x"), 1),
        (failures.DiskFull("x"), 1),
        (OSError("x"), 1),
        (NothingToPush("x"), 2),
        (problems.Unauthenticated("x"), 3),
        (problems.SessionEnded("x"), 3),
        (problems.RoleTooLow("x"), 4),
        (problems.ModelNotFound("x"), 4),
        (failures.Refused(412, "x"), 4),
        (failures.TargetTaken(Path("x")), 4),
        (failures.Unreachable("x"), 5),
        (failures.BadAnswer("x"), 5),
        (failures.Refused(503, "x"), 5),
        (problems.Unavailable("x"), 5),
        (failures.WrongBytes("a", "b"), 6),
        (problems.HashMismatch("x"), 6),
    ],
)
def test_scripts_can_tell_failures_apart(error: Exception, code: int) -> None:
    told = explained(error)
    assert told is not None
    assert told.exit_code == code


def test_a_taken_path_comes_with_both_ways_out() -> None:
    taken = problems.ModelPathTaken("Taken.", model_id="7", free_path="loras/ink_2.safetensors")
    told = explained(taken)
    assert told is not None
    assert "modelyard push --replace FILE" in told.fix[1]
    assert "'loras/ink_2.safetensors'" in told.fix[2]


def test_an_unfit_name_says_that_workflows_name_the_old_one() -> None:
    told = explained(NameUnfit("x", "models/loras/ink_1.safetensors"))
    assert told is not None
    assert "models/loras/ink_1.safetensors" in told.fix[0]
    assert "Workflows" in told.fix[1]


def test_every_wrong_field_is_named() -> None:
    errors = [{"field": "file_size", "message": "Too large"}, {"field": "model_type", "message": "Too long"}]
    told = explained(problems.InvalidRequest("Not valid.", errors=errors))
    assert told is not None
    assert told.sentence.splitlines() == ["Not valid.", "  file_size: Too large", "  model_type: Too long"]


def test_a_field_that_breaks_a_rule_here_is_a_usage_error() -> None:
    with pytest.raises(ValidationError) as refused:
        NewTeam(display_name="")
    told = explained(refused.value)
    assert told is not None
    assert told.exit_code == 2
    assert told.sentence.startswith("display_name: ")


def test_a_bug_is_not_explained_away() -> None:
    assert explained(KeyError("x")) is None
