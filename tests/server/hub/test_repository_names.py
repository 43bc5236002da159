"""The names of the repositories that models have."""

import re
from uuid import UUID

import pytest

from modelyard.server.models.repositories.names import MAX_NAME, build_repository_name, parse_repository_name
from modelyard.wire.paths import parse_model_path

MODEL_ID = UUID("0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10")
PLAIN = {
    "loras/ink.safetensors": "loras__ink.safetensors",
    "loras/sdxl/Ink_v2-a.safetensors": "loras__sdxl__Ink_v2-a.safetensors",
    "unet/flux.gguf": "unet__flux.gguf",
}
WITH_ID = [
    *("loras/ink portraits.safetensors", "loras/a--b.safetensors", "loras/a__b.safetensors", "loras/_a.safetensors"),
    *("loras/a .. b.safetensors", "loras/a - b.safetensors"),
    *("loras/tusche-größe.safetensors", "loras/-a.safetensors", "墨/墨.safetensors"),
    "loras/" + "long" * 25 + ".safetensors",
    *("diffusers/sdxl.git", f"diffusers/{'0123456789abcdef' * 2}"),
]
# The rule of huggingface_hub's `validate_repo_id`.
VALID = re.compile(r"\b[\w\-.]{1,96}\b", re.ASCII)


@pytest.mark.parametrize("path", [*PLAIN, *WITH_ID])
def test_name_of_model_is_valid_for_clients(path: str) -> None:
    name = build_repository_name(path, MODEL_ID)
    assert VALID.fullmatch(name)
    assert len(name) <= MAX_NAME
    assert "--" not in name
    assert ".." not in name
    assert not name.endswith(".git")


@pytest.mark.parametrize("path", PLAIN)
def test_name_of_plain_path_is_the_path(path: str) -> None:
    name = build_repository_name(path, MODEL_ID)
    assert name == PLAIN[path]
    assert parse_repository_name(name) == parse_model_path(path.split("/", maxsplit=1)[0], path).key


@pytest.mark.parametrize("path", WITH_ID)
def test_name_of_other_path_ends_with_the_id(path: str) -> None:
    assert parse_repository_name(build_repository_name(path, MODEL_ID)) == MODEL_ID


def test_name_of_path_with_space_is_the_one_in_the_documentation() -> None:
    name = build_repository_name("loras/ink portraits.safetensors", MODEL_ID)
    assert name == "loras__ink-portraits.safetensors__0199a1de7c1e7a529d3b5f0c2f6f7a10"
