"""One bit flipped in transit: no wrong model is registered or file written, and a repeated command succeeds."""

import filecmp
import hashlib
import random
from collections.abc import Callable
from pathlib import Path

from modelyard.client.transfers.push import HASHED_FIRST_BYTES
from tests.journeys.command_line import CommandLine
from tests.journeys.fault_proxy import FaultProxy, FlipBit
from tests.journeys.upload_sizes import MEBIBYTE, PART_SIZE
from tests.server.harness import ApiCaller

SIZE = 3 * MEBIBYTE
# Smaller files are hashed before they are sent, so that the store refuses other bytes.
UNHASHED_SIZE = HASHED_FIRST_BYTES + MEBIBYTE
FLIPS = 10
CONTENT_MISMATCH, REFUSED = 6, 4
# The files of these tests have a header of 2 KiB; a flipped bit there makes the format invalid.
HEADER = 4096


def choose_offsets(size: int) -> list[int]:
    """Choose ten random offsets in the weights of a file, different in each run; a failure message shows them."""
    return [random.randrange(HEADER, size) for _ in range(FLIPS)]


def hash_file(file: Path) -> str:
    return "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()


def test_push_flipped_bit_in_upload_fails_and_registers_no_model(
    modelyard: CommandLine, proxy: FaultProxy, team: ApiCaller, new_file: Callable[[int, str], Path]
) -> None:
    # Of sizes that the team does not have: then the client uploads before it knows the hash.
    files = [new_file(UNHASHED_SIZE + 4096 * number, f"ink{number}.safetensors") for number in range(FLIPS)]
    for file, offset in zip(files, choose_offsets(UNHASHED_SIZE), strict=True):
        proxy.inject_once(FlipBit(offset), "PUT", "/blobs/.*")

        pushed = modelyard.run("push", file)

        assert pushed.code == CONTENT_MISMATCH, (offset, pushed)
        assert hash_file(file) in pushed.err
        assert team.get("/models").json()["model_list"] == [], offset

    assert modelyard.run("push", *files).code == 0
    listed = {model["file_hash"]: model["verification"] for model in team.get("/models").json()["model_list"]}
    assert listed == {hash_file(file): "verified" for file in files}


def test_push_flipped_bit_with_signed_hash_is_refused_and_sent_again(
    modelyard: CommandLine, proxy: FaultProxy, team: ApiCaller, new_file: Callable[[int], Path]
) -> None:
    file = new_file(SIZE)
    assert modelyard.run("push", file).code == 0
    # The team has a file of this size, so the client hashes first, and the signed URL contains the hash.
    second_file = new_file(SIZE)
    [offset, *_] = choose_offsets(SIZE)
    proxy.inject_once(FlipBit(offset), "PUT", "/blobs/.*")
    proxy.reset_exchanges()

    pushed = modelyard.run("push", "--replace", second_file)

    assert pushed.code == 0, pushed
    assert [exchange.status for exchange in proxy.list_blob_exchanges("PUT")] == [400, 200]
    [model] = team.get("/models").json()["model_list"]
    assert model["file_hash"] == hash_file(second_file)


def test_push_flipped_bit_in_part_fails_and_next_push_succeeds(
    modelyard: CommandLine, proxy: FaultProxy, team: ApiCaller, new_file: Callable[[int], Path]
) -> None:
    file = new_file(33 * MEBIBYTE)
    [offset, *_] = choose_offsets(PART_SIZE)
    proxy.inject_once(FlipBit(offset), "PUT", "/blobs/.*")

    assert modelyard.run("push", file).code == CONTENT_MISMATCH
    assert team.get("/models").json()["model_list"] == []
    assert modelyard.run("push", file).code == 0
    [model] = team.get("/models").json()["model_list"]
    assert (model["file_hash"], model["verification"]) == (hash_file(file), "verified")


def test_push_flipped_bit_in_file_header_fails_and_next_push_succeeds(
    modelyard: CommandLine, proxy: FaultProxy, team: ApiCaller, new_file: Callable[[int], Path]
) -> None:
    file = new_file(UNHASHED_SIZE)
    proxy.inject_once(FlipBit(9), "PUT", "/blobs/.*")

    assert modelyard.run("push", file).code in (REFUSED, CONTENT_MISMATCH)
    assert team.get("/models").json()["model_list"] == []
    assert modelyard.run("push", file).code == 0


def test_pull_flipped_bit_in_download_fails_and_writes_no_file(
    modelyard: CommandLine, proxy: FaultProxy, new_file: Callable[[int], Path], tmp_path: Path
) -> None:
    file, folder = new_file(SIZE), tmp_path / "pulled"
    assert modelyard.run("push", file).code == 0
    for offset in choose_offsets(SIZE):
        proxy.inject_once(FlipBit(offset), "GET", "/blobs/.*")

        pulled = modelyard.run("pull", file.name, "-o", folder)

        assert pulled.code == CONTENT_MISMATCH, (offset, pulled)
        assert "SHA-256" in pulled.err
        assert list(folder.iterdir()) == []

    assert modelyard.run("pull", file.name, "-o", folder).code == 0
    assert filecmp.cmp(file, folder / file.name, shallow=False)


def test_pull_flipped_bit_in_one_of_several_ranges_fails_and_next_pull_succeeds(
    modelyard: CommandLine, proxy: FaultProxy, new_file: Callable[[int], Path], tmp_path: Path
) -> None:
    file = new_file(40 * MEBIBYTE)
    assert modelyard.run("push", file).code == 0
    [offset, *_] = choose_offsets(8 * MEBIBYTE)
    proxy.inject_once(FlipBit(offset), "GET", "/blobs/.*")

    assert modelyard.run("pull", file.name, "-o", tmp_path / "pulled").code == CONTENT_MISMATCH
    assert list((tmp_path / "pulled").iterdir()) == []
    assert modelyard.run("pull", file.name, "-o", tmp_path / "pulled").code == 0
