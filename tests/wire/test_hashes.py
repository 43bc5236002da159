"""Hashes as people and tools write them, and the limits of a lookup."""

import pytest
from pydantic import ValidationError

from modelyard.wire.hashes.lookups import MAX_LOOKUPS, ModelLookup
from modelyard.wire.hashes.texts import is_hash, split_hash

FULL = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (FULL, ["sha256", "blake3", "autov3"]),
        (FULL.upper(), ["sha256", "blake3", "autov3"]),
        (f"sha256:{FULL}", ["sha256"]),
        (f"SHA256:{FULL.upper()}", ["sha256"]),
        (f"blake3:{FULL}", ["blake3"]),
        (f"0x{FULL}", ["sha256", "blake3", "autov3"]),
        (FULL[:8], ["sha256", "blake3", "autov3", "autov1", "crc32"]),
        (FULL[:9], ["sha256", "blake3", "autov3"]),
        (FULL[:10], ["autov2", "blake3", "autov3"]),
        (f"sha256:{FULL[:10]}", ["sha256"]),
        (f"AutoV1:{FULL[:8]}", ["autov1"]),
        (f"AutoV2:{FULL[:10]}", ["autov2"]),
        (f"AutoV3:{FULL[:12]}", ["autov3"]),
        (f"CRC32:{FULL[:8]}", ["crc32"]),
    ],
)
def test_split_hash_returns_the_kinds_it_may_be_and_digits_in_lower_case(text: str, names: list[str]) -> None:
    digits = text.lower().rpartition(":")[2].removeprefix("0x")
    assert split_hash(text) == (tuple(names), digits)
    assert is_hash(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        FULL[:7],
        FULL + "0",
        "0x" + FULL[:7],
        "ghijklmn",
        f"md5:{FULL[:32]}",
        f"autov1:{FULL[:9]}",
        f"autov2:{FULL[:8]}",
        f"crc32:{FULL[:10]}",
        f" {FULL}",
        f"{FULL}\n",
        "sha256:",
    ],
)
def test_split_hash_other_text_returns_nothing(text: str) -> None:
    assert split_hash(text) == ((), "")
    assert not is_hash(text)


def test_model_lookup_with_1000_hashes_and_paths_is_valid() -> None:
    lookup = ModelLookup(hashes=[FULL] * (MAX_LOOKUPS - 1), paths=["loras/ink.safetensors"])
    assert len(lookup.hashes) == 999


@pytest.mark.parametrize(
    ("fields", "loc"),
    [
        ({"hashes": [FULL] * 1001}, ("hashes",)),
        ({"hashes": [FULL], "paths": ["loras/a.safetensors"] * 1000}, ("paths",)),
        ({"hashes": [FULL, "ink"]}, ("hashes", 1)),
        ({"hashes": [5]}, ("hashes", 0)),
        ({"paths": [""]}, ("paths", 0)),
    ],
)
def test_model_lookup_invalid_names_the_field(fields: dict[str, list[object]], loc: tuple[object, ...]) -> None:
    with pytest.raises(ValidationError) as raised:
        ModelLookup.model_validate(fields)
    assert [error["loc"] for error in raised.value.errors()] == [loc]
