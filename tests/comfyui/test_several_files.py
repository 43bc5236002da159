import json
import tracemalloc
from collections.abc import Iterator

import pytest

from modelyard.comfyui.model_files.several_files import (
    find_indexed_parts,
    find_missing_parts,
    is_common_name,
    is_index,
    is_one_model,
    list_parts,
)
from modelyard.wire.folders.names import MAX_FILES

INDEX = "unet/model.safetensors.index.json"
PARTS = ["unet/model-00001-of-00002.safetensors", "unet/model-00002-of-00002.safetensors"]


def build_index(*names: str) -> bytes:
    weights = {f"w{number}": name for number, name in enumerate(names)}
    return json.dumps({"metadata": {}, "weight_map": weights}).encode()


@pytest.mark.parametrize(
    ("paths", "missing"),
    [
        ([INDEX, "unet/a.safetensors", "unet/b.safetensors"], []),
        ([INDEX, "unet/a.safetensors"], ["unet/b.safetensors"]),
        ([INDEX, "a.safetensors", "unet/b.safetensors"], ["unet/a.safetensors"]),
        ([INDEX, "unet/config.json"], ["unet/a.safetensors", "unet/b.safetensors"]),
        ([INDEX, "vae/c.safetensors"], ["unet/a.safetensors", "unet/b.safetensors"]),
        # Left over from weights in another format.
        ([INDEX, "unet/c.safetensors"], []),
    ],
)
def test_find_missing_parts_by_index(paths: list[str], missing: list[str]) -> None:
    found = find_missing_parts(paths, [(INDEX, build_index("a.safetensors", "b.safetensors"))])
    assert (found.first, found.count) == (missing, len(missing))


@pytest.mark.parametrize("content", [b"{", b"[1]", b'{"weight_map": [1]}', b'{"weight_map": {"w": 1}}', b"[" * 100_000])
def test_find_missing_parts_of_other_json_is_empty(content: bytes) -> None:
    assert find_missing_parts([INDEX, "unet/a.safetensors"], [(INDEX, content)]).count == 0


@pytest.mark.parametrize("name", ["../up.safetensors", "a\x1b.safetensors", f"{'a' * 500}.safetensors", "readme"])
def test_find_missing_parts_by_index_leaves_out_what_is_no_path_of_a_model_file(name: str) -> None:
    found = find_missing_parts([INDEX, "unet/a.safetensors"], [(INDEX, build_index("a.safetensors", name))])
    assert found.count == 0


def test_find_missing_parts_by_index_of_more_files_than_a_folder_may_have_is_empty() -> None:
    index = build_index("a.safetensors", *(f"{number}.safetensors" for number in range(MAX_FILES)))
    assert find_missing_parts([INDEX, "unet/a.safetensors"], [(INDEX, index)]).count == 0


def test_find_missing_parts_by_number_and_index_counts_each_once() -> None:
    index = build_index(*(path.removeprefix("unet/") for path in PARTS), "b.safetensors")
    found = find_missing_parts([INDEX, PARTS[0]], [(INDEX, index)])
    assert (found.first, found.count) == (["unet/b.safetensors", PARTS[1]], 2)


def test_find_missing_parts_of_large_numbers_names_the_first_and_builds_no_others() -> None:
    paths = [f"{number:03}-00001-of-99999.safetensors" for number in range(200)]
    tracemalloc.start()
    found = find_missing_parts(paths, ())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.first == [f"000-{number:05}-of-99999.safetensors" for number in range(2, 7)]
    assert found.count == 200 * 99_998
    assert peak < 1024 * 1024  # the names of all parts would be gigabytes


class CountedPaths(list[str]):
    """Paths that count how often they are iterated over."""

    iterations = 0

    def __iter__(self) -> Iterator[str]:
        self.iterations += 1
        return super().__iter__()


def test_find_missing_parts_by_many_indexes_reads_the_paths_as_often_as_by_one() -> None:
    def count_iterations(index_count: int) -> int:
        indexes = [(f"{number}/{INDEX}", build_index("a.safetensors")) for number in range(index_count)]
        paths = CountedPaths([f"{index.rpartition('/')[0]}/a.safetensors" for index, _ in indexes])
        assert find_missing_parts(paths, indexes).count == 0
        return paths.iterations

    assert count_iterations(100) == count_iterations(1)


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors.index.json",
        "unet/diffusion_pytorch_model.safetensors.index.fp16.json",
        "pytorch_model.bin.index.json",
    ],
)
def test_is_index_of_publishers_names_is_true(name: str) -> None:
    assert is_index(name)


@pytest.mark.parametrize("name", ["model_index.json", "config.json", "model.safetensors", "index.json"])
def test_is_index_of_other_name_is_false(name: str) -> None:
    assert not is_index(name)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["model_index.json"], True),
        (["m.safetensors.index.json", "m-00001-of-00002.safetensors", "config.json"], True),
        (["m.safetensors.index.fp16.json", "m.fp16-00001-of-00002.safetensors"], True),
        (["m.safetensors.index.fp16.json", "m-00001-of-00002.fp16.safetensors"], True),
        (["m.safetensors.index.json", "m-00001-of-00002.safetensors", "ink.safetensors"], False),
        (["m.safetensors.index.json", "ink-00001-of-00002.safetensors"], False),
        (["m.safetensors.index.json"], False),
        (["m-00001-of-00002.safetensors"], False),
    ],
)
def test_is_one_model_by_the_names_of_the_files(names: list[str], expected: bool) -> None:
    assert is_one_model(names) is expected


def test_find_indexed_parts_leaves_out_other_model_files_and_parts_without_index() -> None:
    names = ["m.safetensors.index.json", "m-00001-of-00002.safetensors", "n-00001-of-00002.safetensors", "ink.bin"]
    assert find_indexed_parts(names) == {"m-00001-of-00002.safetensors"}


@pytest.mark.parametrize(
    ("paths", "missing"),
    [
        (PARTS, []),
        (PARTS[1:], PARTS[:1]),
        (["m-00003-of-00002.gguf", "m-00000-of-00002.gguf"], []),
        (["m-1-of-2.gguf", "model.safetensors"], []),
    ],
)
def test_find_missing_parts_by_number(paths: list[str], missing: list[str]) -> None:
    assert find_missing_parts(paths, ()).first == missing


def test_list_parts_of_only_part_is_itself() -> None:
    assert list_parts("m-00001-of-00001.gguf") == ["m-00001-of-00001.gguf"]


def test_list_parts_of_more_than_a_folder_may_have_is_empty() -> None:
    assert list_parts("m-00001-of-99999.gguf") == []


@pytest.mark.parametrize(
    "name",
    [
        "diffusion_pytorch_model.safetensors",
        "diffusion_pytorch_model.fp16.safetensors",
        "model-00001-of-00002.safetensors",
        "pytorch_model.bin",
        "Model.GGUF",
    ],
)
def test_is_common_name_of_publishers_default_is_true(name: str) -> None:
    assert is_common_name(name)


@pytest.mark.parametrize("name", ["ink.safetensors", "model_v2.safetensors", "model", "model.json"])
def test_is_common_name_of_other_name_is_false(name: str) -> None:
    assert not is_common_name(name)
