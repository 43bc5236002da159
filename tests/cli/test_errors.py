from pathlib import Path

import pytest
from typer.main import get_command

from modelyard.cli.command_tree import app
from modelyard.cli.terminal.errors import explain_failure
from modelyard.cli.terminal.remedies.typed_command import TypedCommand, read_typed_command
from modelyard.client.transfers.collect import NothingToPush
from modelyard.comfyui.model_locations import NameInvalid
from modelyard.transfer import errors as transfer_errors
from modelyard.wire import problems


@pytest.mark.parametrize("kind", problems.list_problem_classes())
def test_explain_every_problem_class_has_exit_code_and_no_unfilled_braces(kind: type[problems.Problem]) -> None:
    explanation = explain_failure(kind("What happened."))
    assert explanation is not None
    assert explanation.sentence == "What happened."
    assert explanation.exit_code in range(1, 7)
    assert not any("{" in line for line in explanation.fix)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (problems.InternalError("x"), 1),
        (transfer_errors.DiskFull("x"), 1),
        (transfer_errors.FileMoved(Path("x")), 1),
        (OSError("x"), 1),
        (NothingToPush("x"), 2),
        (problems.Unauthenticated("x"), 3),
        (problems.SessionEnded("x"), 3),
        (problems.RoleTooLow("x"), 4),
        (problems.ModelNotFound("x"), 4),
        (transfer_errors.Refused(412, "x"), 4),
        (transfer_errors.TargetExists(Path("x")), 4),
        (transfer_errors.Unreachable("x"), 5),
        (transfer_errors.BadResponse("x"), 5),
        (transfer_errors.Refused(503, "x"), 5),
        (problems.Unavailable("x"), 5),
        (problems.VerificationQueueFull("x"), 5),
        (transfer_errors.DigestMismatch("a", "b"), 6),
        (problems.HashMismatch("x"), 6),
    ],
)
def test_explain_failure_returns_exit_code_of_class(error: Exception, code: int) -> None:
    explanation = explain_failure(error)
    assert explanation is not None
    assert explanation.exit_code == code


def _type(*words: str) -> TypedCommand:
    return read_typed_command(get_command(app), words, words)


def test_explain_moved_file_does_not_repeat_the_command() -> None:
    explanation = explain_failure(transfer_errors.FileMoved(Path("x.gguf")), _type("push", "x.gguf"))
    assert explanation is not None
    assert (explanation.sentence, explanation.fix) == ('"x.gguf" was moved or deleted while it was read.', [])


def test_explain_path_taken_offers_replace_and_free_path() -> None:
    taken = problems.ModelPathTaken("Taken.", model_id="7", free_path="loras/ink 2.safetensors")
    explanation = explain_failure(taken, _type("push", "a.gguf", "b.gguf", "--path", "loras/"), Path("b.gguf"))
    assert explanation is not None
    assert explanation.fix[1].endswith(": modelyard push b.gguf --path loras/ --replace")
    assert explanation.fix[2].endswith(": modelyard push b.gguf --path 'loras/ink 2.safetensors'")


def test_explain_path_taken_leaves_out_options_that_the_command_lacks() -> None:
    taken = problems.ModelPathTaken("Taken.", model_id="7", free_path="loras/ink_2.safetensors")
    explanation = explain_failure(taken, _type("edit", "7", "--path", "loras/ink.safetensors"))
    assert explanation is not None
    assert [line.partition(": ")[2] for line in explanation.fix] == [
        "modelyard show 7",
        "modelyard edit 7 --path loras/ink_2.safetensors",
    ]


@pytest.mark.parametrize(
    ("words", "facts", "command"),
    [
        (("pull", "ink@1"), {"model_path": "models/loras/ink.gguf", "was_verified": False}, "loras/ink.gguf"),
        (("rollback", "--", "-x"), {"model_path": "models/loras/ink.gguf", "was_verified": False}, "loras/ink.gguf"),
        (("convert", "ink"), {}, "ink"),
    ],
)
def test_explain_content_that_failed_verification_lists_the_versions_and_promises_no_repair(
    words: tuple[str, ...], facts: dict[str, object], command: str
) -> None:
    explanation = explain_failure(problems.ModelDamaged("Damaged.", **facts), _type(*words))
    assert explanation is not None
    [line] = explanation.fix
    assert line.endswith(f": modelyard version ls {command}")
    assert "repair" not in line


def test_explain_path_taken_for_restored_model_names_both() -> None:
    known = {"model_id": "7", "free_path": "loras/ink_2.safetensors"}
    restoring = explain_failure(problems.ModelPathTaken("Taken.", restored_id="9", **known), _type("restore", "9"))
    assert restoring is not None
    assert "modelyard edit 7 --path loras/ink_2.safetensors (then: modelyard restore 9)" in restoring.fix[1]
    assert "modelyard rm 7 (then: modelyard restore 9)" in restoring.fix[2]


def test_explain_version_conflict_names_command_that_lists_versions() -> None:
    conflict = problems.VersionConflict("Ada has uploaded version 4.", model_id="7", version=4, created_by="Ada")
    explanation = explain_failure(conflict)
    assert explanation is not None
    assert explanation.fix[0] == "List its versions: modelyard version ls 7"
    assert explanation.facts.items() >= {"error_code": "version_conflict", "version": 4, "exit_code": 4}.items()


def test_explain_invalid_name_suggests_valid_one_and_warns_of_workflows() -> None:
    explanation = explain_failure(NameInvalid("x", "models/loras/ink_1.safetensors"), _type("push", "ink?.safetensors"))
    assert explanation is not None
    assert "modelyard push 'ink?.safetensors' --path models/loras/ink_1.safetensors" in explanation.fix[0]
    assert "Workflows" in explanation.fix[1]


@pytest.mark.parametrize(("options", "count"), [((), 2), (("--give-up-after", "2h"), 1)])
def test_explain_exhausted_retries_does_not_shorten_a_typed_time(options: tuple[str, ...], count: int) -> None:
    exhausted = transfer_errors.RetriesExhausted(transfer_errors.Unreachable("x"), 60, 9)
    explanation = explain_failure(exhausted, _type("pull", "ink", *options))
    assert explanation is not None
    assert len(explanation.fix) == count


def test_explain_failure_document_has_the_remedies() -> None:
    explanation = explain_failure(problems.ModelNotFound("x", similar=["loras/ink.safetensors"]))
    assert explanation is not None
    assert (
        explanation.facts["fix"]
        == explanation.fix
        == ["List the models: modelyard ls", "Similar: models/loras/ink.safetensors"]
    )


def test_explain_unknown_exception_returns_none() -> None:
    assert explain_failure(KeyError("x")) is None
