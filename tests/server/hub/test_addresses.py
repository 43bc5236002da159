"""What the paths of the Hugging Face endpoint ask for."""

import pytest

from modelyard.server.hub.addresses import AddressKind, HubAddress, parse_address

COMMIT = "1f2e3d4c5b6a79880f1e2d3c4b5a69788f1e2d3c"
CASES = {
    "api/models/studio/ink": HubAddress(AddressKind.INFO, "studio/ink"),
    "api/models/gpt2": HubAddress(AddressKind.INFO, "gpt2"),
    "api/models/studio/tree": HubAddress(AddressKind.INFO, "studio/tree"),
    f"api/models/studio/ink/revision/{COMMIT}": HubAddress(AddressKind.INFO, "studio/ink", COMMIT),
    "api/models/studio/ink/revision/refs%2Fpr%2F1": HubAddress(AddressKind.INFO, "studio/ink", "refs/pr/1"),
    "api/models/gpt2/tree/main": HubAddress(AddressKind.TREE, "gpt2"),
    "api/models/studio/ink/tree/main/a%20b/tree/c": HubAddress(AddressKind.TREE, "studio/ink", "main", "a b/tree/c"),
    "api/models/studio/tree/tree/main": HubAddress(AddressKind.TREE, "studio/tree"),
    "api/models/studio/ink/paths-info/main": HubAddress(AddressKind.PATHS_INFO, "studio/ink"),
    "studio/ink/resolve/main/vae/ink.safetensors": HubAddress(
        AddressKind.FILE, "studio/ink", "main", "vae/ink.safetensors"
    ),
    "gpt2/resolve/main/resolve/x": HubAddress(AddressKind.FILE, "gpt2", "main", "resolve/x"),
}
OTHERS = [
    *("", "api", "api/models", "api/models/a/b/c", "api/models/studio/ink/commit/main", "api/datasets/studio/ink"),
    *("studio/ink", "studio/ink/resolve/main", "api/models/studio/ink/revision/main/more", "studio/ink/blob/main/x"),
]


@pytest.mark.parametrize("path", CASES)
def test_parse_address_of_repository_returns_its_parts(path: str) -> None:
    assert parse_address(path) == CASES[path]


@pytest.mark.parametrize("path", OTHERS)
def test_parse_address_of_anything_else_returns_none(path: str) -> None:
    assert parse_address(path) is None
