"""One bit turned on the way: nobody ever gets a wrong model or a wrong file, and the next try heals it."""

import filecmp
import hashlib
import random
from collections.abc import Callable
from pathlib import Path

from tests.journeys.between import Between, Flip
from tests.journeys.program import Program
from tests.journeys.sizes import MEBIBYTE, PART_SIZE
from tests.server.world import Someone

SIZE = 3 * MEBIBYTE
TURNS = 10
BYTES_WRONG, REFUSED = 6, 4
# The files of these tests have a header of 2 KiB; a bit in there makes them no model file at all.
HEADER = 4096


def some_offsets(size: int) -> list[int]:
    """Offsets in the weights, other ones in each run; a failing test shows which."""
    return [random.randrange(HEADER, size) for _ in range(TURNS)]


def sha256_of(file: Path) -> str:
    return "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()


def test_bits_turned_on_the_way_up_never_make_a_model(
    modelyard: Program, between: Between, team: Someone, new_file: Callable[[int, str], Path]
) -> None:
    # Of sizes that the team does not hold: their hash is known to nobody before the last byte.
    files = [new_file(SIZE + 4096 * number, f"ink{number}.safetensors") for number in range(TURNS)]
    for file, at in zip(files, some_offsets(SIZE), strict=True):
        between.once(Flip(at), "PUT", "/blobs/.*")

        pushed = modelyard.run("push", file)

        assert pushed.code == BYTES_WRONG, (at, pushed)
        assert sha256_of(file) in pushed.err
        assert team.get("/models").json()["model_list"] == [], at

    assert modelyard.run("push", *files).code == 0
    listed = {model["file_hash"]: model["verification"] for model in team.get("/models").json()["model_list"]}
    assert listed == {sha256_of(file): "verified" for file in files}


def test_a_bit_turned_in_the_way_up_of_a_file_with_a_known_hash_is_sent_again(
    modelyard: Program, between: Between, team: Someone, new_file: Callable[[int], Path]
) -> None:
    file = new_file(SIZE)
    assert modelyard.run("push", file).code == 0
    # The team holds bytes of this size, so the program hashes first, and the hash is signed.
    other = new_file(SIZE)
    [at, *_] = some_offsets(SIZE)
    between.once(Flip(at), "PUT", "/blobs/.*")
    between.forget()

    pushed = modelyard.run("push", "--replace", other)

    assert pushed.code == 0, pushed
    assert [each.status for each in between.of_bytes("PUT")] == [400, 200]
    [model] = team.get("/models").json()["model_list"]
    assert model["file_hash"] == sha256_of(other)


def test_a_bit_turned_in_a_part_never_makes_a_model(
    modelyard: Program, between: Between, team: Someone, new_file: Callable[[int], Path]
) -> None:
    file = new_file(33 * MEBIBYTE)
    [at, *_] = some_offsets(PART_SIZE)
    between.once(Flip(at), "PUT", "/blobs/.*")

    assert modelyard.run("push", file).code == BYTES_WRONG
    assert team.get("/models").json()["model_list"] == []
    assert modelyard.run("push", file).code == 0
    [model] = team.get("/models").json()["model_list"]
    assert (model["file_hash"], model["verification"]) == (sha256_of(file), "verified")


def test_a_bit_turned_in_the_header_is_refused_and_the_next_push_heals_it(
    modelyard: Program, between: Between, team: Someone, new_file: Callable[[int], Path]
) -> None:
    file = new_file(SIZE)
    between.once(Flip(9), "PUT", "/blobs/.*")

    assert modelyard.run("push", file).code in (REFUSED, BYTES_WRONG)
    assert team.get("/models").json()["model_list"] == []
    assert modelyard.run("push", file).code == 0


def test_bits_turned_on_the_way_down_never_make_a_file(
    modelyard: Program, between: Between, new_file: Callable[[int], Path], tmp_path: Path
) -> None:
    file, folder = new_file(SIZE), tmp_path / "pulled"
    assert modelyard.run("push", file).code == 0
    for at in some_offsets(SIZE):
        between.once(Flip(at), "GET", "/blobs/.*")

        pulled = modelyard.run("pull", file.name, "-o", folder)

        assert pulled.code == BYTES_WRONG, (at, pulled)
        assert "SHA-256" in pulled.err
        assert list(folder.iterdir()) == []

    assert modelyard.run("pull", file.name, "-o", folder).code == 0
    assert filecmp.cmp(file, folder / file.name, shallow=False)


def test_a_bit_turned_in_one_range_of_several_is_found(
    modelyard: Program, between: Between, new_file: Callable[[int], Path], tmp_path: Path
) -> None:
    file = new_file(40 * MEBIBYTE)
    assert modelyard.run("push", file).code == 0
    [at, *_] = some_offsets(8 * MEBIBYTE)
    between.once(Flip(at), "GET", "/blobs/.*")

    assert modelyard.run("pull", file.name, "-o", tmp_path / "pulled").code == BYTES_WRONG
    assert list((tmp_path / "pulled").iterdir()) == []
    assert modelyard.run("pull", file.name, "-o", tmp_path / "pulled").code == 0
