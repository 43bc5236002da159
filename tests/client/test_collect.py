import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modelyard.client.transfers.collect import (
    DuplicateModelPath,
    ModelOverrides,
    NothingToPush,
    PushRequest,
    RejectedFile,
    select_files,
    select_version_file,
)
from modelyard.client.transfers.push import PreparedPush, Pusher
from modelyard.comfyui.model_locations import NameInvalid, TypeUnknown
from modelyard.transfer.errors import FileChanged
from modelyard.wire.model_folders import NODE_FOLDERS
from tests.client.model_files import write_model_file

LORA = ModelOverrides(model_type="loras")


def get_paths(selected: list[PushRequest | RejectedFile]) -> list[str]:
    return [each.model_path for each in selected if isinstance(each, PushRequest)]


def get_errors(selected: list[PushRequest | RejectedFile]) -> list[type[Exception]]:
    return [type(each.error) for each in selected if isinstance(each, RejectedFile)]


def test_select_files_of_folder_returns_all_model_files_below_it(tmp_path: Path) -> None:
    write_model_file(tmp_path / "set" / "a.safetensors")
    write_model_file(tmp_path / "set" / "sub" / "b.safetensors")
    assert get_paths(select_files([str(tmp_path / "set")], LORA)) == [
        "models/loras/a.safetensors",
        "models/loras/sub/b.safetensors",
    ]


def test_select_files_of_models_folder_takes_type_from_each_subfolder(tmp_path: Path) -> None:
    write_model_file(tmp_path / "models" / "loras" / "a.safetensors")
    write_model_file(tmp_path / "models" / "vae" / "b.safetensors")
    assert get_paths(select_files([str(tmp_path)], ModelOverrides())) == [
        "models/loras/a.safetensors",
        "models/vae/b.safetensors",
    ]


def test_select_files_of_models_folder_in_other_letter_case_has_the_path_of_each_file_alone(tmp_path: Path) -> None:
    files = [
        write_model_file(tmp_path / "cap" / name)
        for name in ("Models/VAE/v.safetensors", "models/Loras/Sub/l.safetensors", "models/Stable-diffusion/s.ckpt")
    ]
    expected = ["models/vae/v.safetensors", "models/loras/Sub/l.safetensors", "models/checkpoints/s.ckpt"]
    assert get_paths(select_files([str(tmp_path / "cap")], ModelOverrides())) == expected
    assert get_paths(select_files([str(file) for file in files], ModelOverrides())) == expected


@pytest.mark.parametrize("models", ["models", "Models"])
def test_select_files_below_unknown_folder_of_models_folder_leaves_models_out_of_the_path(
    tmp_path: Path, models: str
) -> None:
    write_model_file(tmp_path / "cap" / models / "mine" / "l.safetensors")
    write_model_file(tmp_path / "cap" / "flux" / models / "mine" / "l.safetensors")
    assert sorted(get_paths(select_files([str(tmp_path / "cap")], ModelOverrides()))) == [
        f"models/loras/flux/{models}/mine/l.safetensors",
        "models/loras/mine/l.safetensors",
    ]


def test_select_files_in_custom_node_folders_takes_type_from_folder(tmp_path: Path) -> None:
    expected = [f"models/{folder.name}/sub/file.bin" for folder in NODE_FOLDERS]
    for path in expected:
        file = tmp_path / "ComfyUI" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"bytes")
    selected = select_files([str(tmp_path / "ComfyUI/models")], ModelOverrides())
    assert sorted(get_paths(selected)) == sorted(expected)
    assert get_errors(selected) == []


def test_select_files_of_unexpanded_pattern_returns_matching_files(tmp_path: Path) -> None:
    write_model_file(tmp_path / "a1.safetensors")
    write_model_file(tmp_path / "a2.safetensors")
    write_model_file(tmp_path / "b.safetensors")
    assert len(select_files([str(tmp_path / "a*.safetensors")], LORA)) == 2


def test_select_files_existing_file_with_brackets_is_not_used_as_pattern(tmp_path: Path) -> None:
    write_model_file(tmp_path / "a[1].safetensors")
    write_model_file(tmp_path / "a1.safetensors")
    selected = select_files([str(tmp_path / "a[1].safetensors")], LORA)
    assert [each.file.name for each in selected] == ["a[1].safetensors"]
    assert get_errors(selected) == [NameInvalid]


@pytest.mark.parametrize(
    "arguments",
    [
        ("loras", "loras/sub"),
        ("loras/sub", "loras"),
        ("loras/sub/b.safetensors", "loras/sub/../sub/b.safetensors", "loras"),
        ("loras/*", "l*/*.safetensors"),
        ("loras", "link"),
    ],
)
def test_select_files_file_of_two_arguments_is_selected_once(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    write_model_file(tmp_path / "models" / "loras" / "a.safetensors")
    write_model_file(tmp_path / "models" / "loras" / "sub" / "b.safetensors")
    (tmp_path / "models" / "link").symlink_to(tmp_path / "models" / "loras")
    selected = select_files([str(tmp_path / "models" / argument) for argument in arguments], ModelOverrides())
    assert sorted(get_paths(selected)) == ["models/loras/a.safetensors", "models/loras/sub/b.safetensors"]
    assert get_errors(selected) == []


def test_select_files_two_links_to_one_file_are_both_selected(tmp_path: Path) -> None:
    file = write_model_file(tmp_path / "models" / "loras" / "a.safetensors")
    (tmp_path / "models" / "loras" / "b.safetensors").symlink_to(file)
    assert len(select_files([str(tmp_path)], ModelOverrides())) == 2


def test_select_files_one_file_named_twice_takes_one_name(tmp_path: Path) -> None:
    file = write_model_file(tmp_path / "a.safetensors")
    (request,) = select_files([str(file), str(file)], ModelOverrides("loras", display_name="Ink"))
    assert isinstance(request, PushRequest)
    assert request.display_name == "Ink"
    assert select_version_file([str(file), str(file)]) == file


def test_select_files_path_override_with_trailing_slash_is_folder_of_all_files(tmp_path: Path) -> None:
    files = [write_model_file(tmp_path / name) for name in ("a.safetensors", "b.safetensors")]
    overrides = ModelOverrides(model_path="models/loras/team/")
    assert get_paths(select_files([str(file) for file in files], overrides)) == [
        "models/loras/team/a.safetensors",
        "models/loras/team/b.safetensors",
    ]


@pytest.mark.parametrize(
    "overrides", [ModelOverrides(display_name="Ink"), ModelOverrides(model_path="models/loras/ink.safetensors")]
)
def test_select_files_one_name_or_path_for_two_files_raises_nothing_to_push(
    tmp_path: Path, overrides: ModelOverrides
) -> None:
    files = [write_model_file(tmp_path / name) for name in ("a.safetensors", "b.safetensors")]
    with pytest.raises(NothingToPush):
        select_files([str(file) for file in files], overrides)


def test_select_files_two_files_with_same_path_rejects_the_second(tmp_path: Path) -> None:
    files = [
        write_model_file(tmp_path / "one" / "Ink.safetensors"),
        write_model_file(tmp_path / "other" / "ink.safetensors"),
    ]
    selected = select_files([str(file) for file in files], LORA)
    assert get_paths(selected) == ["models/loras/Ink.safetensors"]
    assert get_errors(selected) == [DuplicateModelPath]


def test_select_files_invalid_files_are_rejected_and_valid_one_is_selected(tmp_path: Path) -> None:
    (tmp_path / "empty.safetensors").touch()
    os.mkfifo(tmp_path / "pipe.safetensors")
    write_model_file(tmp_path / "mystery.safetensors", tensor="x")
    write_model_file(tmp_path / "ink.safetensors")
    names = ("empty", "pipe", "absent", "mystery", "ink")
    selected = select_files([str(tmp_path / f"{name}.safetensors") for name in names], ModelOverrides())
    assert get_errors(selected) == [NothingToPush, NothingToPush, NothingToPush, TypeUnknown]
    assert get_paths(selected) == ["models/loras/ink.safetensors"]


def test_select_files_of_folder_without_models_raises_nothing_to_push(tmp_path: Path) -> None:
    with pytest.raises(NothingToPush):
        select_files([str(tmp_path)], LORA)


def test_select_files_of_folder_rejects_what_is_no_file_and_selects_the_others(tmp_path: Path) -> None:
    write_model_file(tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").symlink_to(tmp_path / "absent.safetensors")
    os.mkfifo(tmp_path / "c.safetensors")
    (tmp_path / "d.safetensors").mkdir()
    (tmp_path / "e.safetensors").symlink_to(tmp_path / "a.safetensors")
    selected = select_files([str(tmp_path)], LORA)
    assert get_paths(selected) == ["models/loras/a.safetensors", "models/loras/e.safetensors"]
    assert get_errors(selected) == [NothingToPush, NothingToPush]


def test_select_files_of_folder_rejects_each_link_that_leaves_it_by_name(tmp_path: Path) -> None:
    library, other = tmp_path / "library", tmp_path / "other"
    write_model_file(library / "loras" / "a.safetensors")
    outside = write_model_file(other / "b.safetensors")
    leaving = {"b.safetensors": outside, "nas": other, "c.safetensors": library / "loras" / "b.safetensors"}
    nowhere = {"gone": tmp_path / "absent", "loop.pt": library / "loop.pt"}
    (library / "loras" / "b.safetensors").symlink_to(outside)
    for name, target in (leaving | nowhere).items():
        (library / name).symlink_to(target)
    (tmp_path / "link").symlink_to(library)
    selected = select_files([str(tmp_path / "link")], LORA)
    rejected = {str(each.file.relative_to(tmp_path / "link")) for each in selected if isinstance(each, RejectedFile)}
    assert get_paths(selected) == ["models/loras/a.safetensors"]
    assert rejected == {"loras/b.safetensors", *leaving, *nowhere}
    assert str(other) in next(str(each.error) for each in selected if isinstance(each, RejectedFile))
    assert get_paths(select_files([str(library / "b.safetensors")], LORA)) == ["models/loras/b.safetensors"]


async def test_push_file_that_became_a_link_out_of_the_folder_since_it_was_selected_is_refused(
    pusher: Pusher, tmp_path: Path
) -> None:
    file = write_model_file(tmp_path / "loras" / "a.safetensors")
    outside = write_model_file(tmp_path / "outside.safetensors", seed=2)
    [request] = await asyncio.to_thread(select_files, [str(file.parent)], LORA)
    assert isinstance(request, PushRequest)
    file.unlink()
    file.symlink_to(outside)
    with pytest.raises(FileChanged):
        await pusher.push(request)


async def test_deliver_file_that_became_another_one_since_it_was_examined_is_refused(
    pusher: Pusher, tmp_path: Path
) -> None:
    file = write_model_file(tmp_path / "loras" / "a.safetensors")
    outside = write_model_file(tmp_path / "outside.safetensors", seed=2)
    [request] = await asyncio.to_thread(select_files, [str(file.parent)], LORA)
    assert isinstance(request, PushRequest)
    prepared = await pusher.prepare(await pusher.identify(request))
    assert isinstance(prepared, PreparedPush)
    file.unlink()
    file.symlink_to(outside)
    with pytest.raises(FileChanged):
        await pusher.deliver(prepared)


def test_select_version_file_that_is_a_link_out_of_the_folder_raises_nothing_to_push(tmp_path: Path) -> None:
    outside = write_model_file(tmp_path / "b.safetensors")
    (tmp_path / "library").mkdir()
    link = tmp_path / "library" / "a.safetensors"
    link.symlink_to(outside)
    with pytest.raises(NothingToPush, match="leaves the folder"):
        select_version_file([str(link.parent)])
    assert select_version_file([str(link)]) == link


def test_select_files_in_unreadable_folders_are_rejected_and_others_are_selected() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to other users
        root = Path(name)
        for folder in ("closed", "listed", "open"):
            write_model_file(root / folder / "ink.safetensors")
        for path, mode in {root: 0o755, root / "closed": 0o000, root / "listed": 0o444}.items():
            path.chmod(mode)
        arguments = [root, root / "closed" / "ink.safetensors"]
        with without_privileges():
            selected = select_files([str(argument) for argument in arguments], LORA)
        for folder in ("closed", "listed"):
            (root / folder).chmod(0o755)
    assert get_paths(selected) == ["models/loras/open/ink.safetensors"]
    assert get_errors(selected) == [PermissionError] * 3


def test_select_version_file_in_unreadable_folder_raises_why() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to other users
        closed = Path(name) / "closed"
        closed.mkdir()
        for path, mode in {Path(name): 0o755, closed: 0o000}.items():
            path.chmod(mode)
        with without_privileges(), pytest.raises(PermissionError):
            select_version_file([str(closed)])
        closed.chmod(0o755)


@contextmanager
def without_privileges() -> Iterator[None]:
    """Run the block without root's privilege to read every file."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
