import string

import pytest

from modelyard.server.identity import keys
from modelyard.wire.credentials import PREFIXES


@pytest.mark.parametrize("prefix", [*PREFIXES.values(), keys.REFRESH, keys.INVITATION, keys.PAIRING])
def test_generated_token_is_well_formed_for_its_prefix_only(prefix: str) -> None:
    token = keys.generate_token(prefix).raw
    assert keys.is_well_formed(token, prefix)
    others = {*PREFIXES.values(), keys.REFRESH, keys.INVITATION} - {prefix}
    assert not any(keys.is_well_formed(token, other) for other in others)


def test_generated_token_has_prefix_43_random_and_6_checksum_characters() -> None:
    token = keys.generate_token("sk-")
    assert len(token.raw) == 3 + 43 + 6
    assert set(token.raw[3:]) <= set(string.ascii_letters + string.digits + "-_")
    assert token.visible_prefix == token.raw[:11]
    assert token.raw not in token.digest


def test_generated_tokens_are_unique() -> None:
    assert len({keys.generate_token("sk-").raw for _ in range(1000)}) == 1000


def test_is_well_formed_token_with_changed_character_returns_false() -> None:
    token = keys.generate_token("sk-").raw
    for position in range(3, len(token)):
        other = "A" if token[position] != "A" else "B"
        assert not keys.is_well_formed(token[:position] + other + token[position + 1 :], "sk-")


@pytest.mark.parametrize("change", ["", " ", "\n", "\x00", "A", "é", "="])
def test_is_well_formed_longer_token_returns_false(change: str) -> None:
    token = keys.generate_token("sk-").raw
    assert keys.is_well_formed(token + change, "sk-") is (change == "")


def test_token_checksum_is_crc32_in_base_62() -> None:
    # An independent implementation, such as a leak scanner, must compute the same six characters.
    body = "sk-" + "A" * 43
    assert keys.is_well_formed(body + _compute_checksum(body), "sk-")


def _compute_checksum(text: str) -> str:
    rest = 0xFFFFFFFF
    for byte in text.encode():
        rest ^= byte
        for _ in range(8):
            rest = (rest >> 1) ^ (0xEDB88320 if rest & 1 else 0)
    rest ^= 0xFFFFFFFF
    alphabet = string.digits + string.ascii_uppercase + string.ascii_lowercase
    return "".join(alphabet[rest // 62**power % 62] for power in range(5, -1, -1))
