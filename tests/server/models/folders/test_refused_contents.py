"""Registration of folders: contents that are refused, at once or by the verification."""

import json

import pytest

from modelyard.server.models.registration.folder_contents import MAX_READ_INDEXES
from tests.server.harness import ApiCaller, make_model_file
from tests.server.models.folders.folder_push import (
    build_body,
    list_fields,
    make_folder,
    push,
    register,
)


@pytest.mark.parametrize(
    ("path", "content", "word"),
    [
        pytest.param("config.json", b'{"auto_map": {"AutoModel": "model.Own"}}', "auto_map", id="auto_map"),
        pytest.param("config.json", b'{"a": [{"\\u0061uto_map": "x"}]}', "auto_map", id="auto_map in escapes"),
        pytest.param("unet/x.json", b'[{"custom_pipelines": {"a": {"impl": "own.P"}}}]', "custom_p", id="own pipeline"),
        pytest.param("model_index.json", b'{"unet": ["own_unet", "Unet"]}', "'unet'", id="component of its own"),
        pytest.param("model_index.json", b'{"_class_name": ["own", "P"]}', "'_class_name'", id="class of its own"),
        pytest.param("a/Model_Index.json", b'{"vae": ["os", "system"]}', "'vae'", id="component of any module"),
        pytest.param(
            "modular_model_index.json",
            b'{"vae": [null, null, {"type_hint": ["own", "Vae"]}]}',
            "'vae'",
            id="modular component of its own",
        ),
        pytest.param("model_index.json", b'"' + b"x" * 300_000 + b'"', "more than 262144", id="large index"),
        pytest.param("config.json", b"{", "JSON", id="invalid JSON"),
        pytest.param("config.json", b'{"auto_map": 1, "auto_map": null}', "JSON", id="key twice"),
        pytest.param("x.safetensors", b"no tensors in here", "x.safetensors", id="no safetensors"),
        pytest.param("README.md", b"#!/bin/sh\n", "'README.md' begins like a script", id="script"),
        pytest.param("vocab.txt", b"\x7fELF\2" + bytes(60), "Leave the file out.", id="Linux program"),
        pytest.param("vocab.txt", b"MZ\x90\0" + bytes(60), "Leave the file out.", id="Windows program"),
    ],
)
def test_register_folder_with_a_bad_file_is_refused(team: ApiCaller, path: str, content: bytes, word: str) -> None:
    answer = push(team, make_folder() | {path: content})

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/not-a-model-file")
    assert word in answer.json()["detail"]
    position = list(make_folder() | {path: content}).index(path)
    assert (answer.json()["path"], list_fields(answer)) == (path, [f"file_list.{position}.storage_key"])
    assert team.get("/models").json()["model_list"] == []


def test_register_pipeline_with_components_of_diffusers_and_transformers_is_accepted(team: ApiCaller) -> None:
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "feature_extractor": [None, None],
        "image_size": [64, 64],
    }
    config: dict[str, object] = {
        "auto_map": None,
        "custom_pipelines": {},
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    }
    files = {"model_index.json": json.dumps(index).encode(), "unet/config.json": json.dumps(config).encode()}

    assert register(team, make_folder() | files)


def test_register_known_json_as_the_index_of_a_pipeline_is_checked_as_one(team: ApiCaller) -> None:
    content = {"x.json": b'{"unet": ["own_unet", "Unet"]}'}
    register(team, {"model.safetensors": make_model_file()} | content, "LLM/one")

    answer = push(team, {"model.safetensors": make_model_file(), "model_index.json": content["x.json"]}, "LLM/two")

    assert (answer.status_code, answer.json()["found"]) == (422, "request for code")


@pytest.mark.parametrize(
    ("added", "missing"),
    [
        (
            {"unet/m.safetensors.index.json": b'{"weight_map": {"a": "model.safetensors", "b": "more.safetensors"}}'},
            "unet/more.safetensors",
        ),
        ({"vae/m-00002-of-00002.safetensors": make_model_file("vae")}, "vae/m-00001-of-00002.safetensors"),
    ],
    ids=["by index", "by number"],
)
def test_register_folder_that_lacks_a_part_of_its_weights_is_refused_and_names_it(
    team: ApiCaller, added: dict[str, bytes], missing: str
) -> None:
    answer = push(team, make_folder() | added)

    assert answer.status_code == 422
    assert (answer.json()["found"], answer.json()["missing"]) == ("incomplete folder", [missing])
    assert list_fields(answer) == ["file_list"]
    assert register(team, make_folder() | added | {missing: make_model_file("more")})


def test_register_folder_with_many_indexes_reads_so_many(team: ApiCaller) -> None:
    def build_indexes(count: int) -> dict[str, bytes]:
        whole, lacking = (b'{"weight_map": {"a": "model.safetensors"%s}}' % more for more in (b"", b', "b": "b.bin"'))
        indexes = [f"unet/{number:02}.safetensors.index.json" for number in range(count)]
        return dict.fromkeys(indexes[:-1], whole) | {indexes[-1]: lacking}

    assert push(team, make_folder() | build_indexes(MAX_READ_INDEXES)).json()["missing"] == ["unet/b.bin"]
    assert register(team, make_folder() | build_indexes(MAX_READ_INDEXES + 1))


def test_register_folder_with_a_pickle_after_the_team_has_come_to_block_them_is_refused(team: ApiCaller) -> None:
    assert team.put("/teams/current", pickle_policy="scan").status_code == 200
    body = build_body(team, make_folder() | {"x.bin": b"\x80\x02cos\nsystem\n."})
    assert team.put("/teams/current", pickle_policy="block").status_code == 200

    answer = team.post("/models", **body)

    assert (answer.status_code, answer.json()["type"], answer.json()["path"]) == (
        *(422, "/problems/not-a-model-file"),
        "x.bin",
    )
    assert "pickle" in answer.json()["detail"]


def test_register_known_content_as_another_kind_of_file_names_the_file(team: ApiCaller) -> None:
    content = json.dumps({"text": "x" * 400_000}).encode()
    register(team, {"model.safetensors": make_model_file(), "vocab.txt": content}, "LLM/one")

    answer = push(team, {"model.safetensors": make_model_file(), "tokenizer.json": content}, "LLM/two")

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/not-a-model-file")
    assert (answer.json()["path"], list_fields(answer)) == ("tokenizer.json", ["file_list.1.storage_key"])


def test_register_large_file_with_a_request_for_code_fails_verification(team: ApiCaller) -> None:
    content = json.dumps({"auto_map": {"a": "b"}, "text": "x" * 400_000}).encode()

    model = team.get(f"/models/{register(team, make_folder() | {'tokenizer.json': content})}").json()

    assert model["verification"] == "failed"
    assert model["verification_error"].startswith("'tokenizer.json': ")
    assert team.get(f"/models/{model['id']}/files").json()["type"] == "/problems/model-damaged"


def test_register_file_with_a_million_lists_fails_verification(team: ApiCaller) -> None:
    content = b'{"auto_map": null, "lists": [' + b"[]," * 1_000_000 + b"[]]}"

    model = team.get(f"/models/{register(team, make_folder() | {'tokenizer.json': content})}").json()

    assert model["verification"] == "failed"
    assert "more than 2,000,000 brackets of lists" in model["verification_error"]
