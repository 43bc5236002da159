"""Encryption of secrets, and the operator's keys."""

import base64
from pathlib import Path

import pytest

from modelyard.server.encryption import SecretCipher, SecretsKeyInvalid, SecretUnreadable, read_cipher
from modelyard.server.settings import Settings

FIRST, SECOND = b"1" * 32, b"\xfb" * 32


def encode(*keys: bytes) -> str:
    return ",".join(base64.b64encode(key).decode() for key in keys)


def test_encrypt_same_secret_twice_differs_and_both_decrypt() -> None:
    cipher = SecretCipher((FIRST,))
    stored = {cipher.encrypt("hf_secret", "token:a") for _ in range(2)}
    assert len(stored) == 2
    assert {cipher.decrypt(each, "token:a") for each in stored} == {"hf_secret"}
    assert "secret" not in "".join(stored)
    assert "1111" not in repr(cipher)


def test_decrypt_other_purpose_key_or_text_raises() -> None:
    stored = SecretCipher((FIRST,)).encrypt("hf_secret", "token:a")
    broken = (stored[:-1] + ("A" if stored[-1] != "A" else "B"), "", "v1.", "v1.AAAA", "v2.AAAA", "é")
    for cipher, text, purpose in (
        (SecretCipher((FIRST,)), stored, "token:b"),
        (SecretCipher((SECOND,)), stored, "token:a"),
        *((SecretCipher((FIRST,)), each, "token:a") for each in broken),
    ):
        with pytest.raises(SecretUnreadable):
            cipher.decrypt(text, purpose)


def test_decrypt_after_rotation_uses_the_old_key() -> None:
    stored = SecretCipher((FIRST,)).encrypt("hf_secret", "token:a")
    rotated = SecretCipher((SECOND, FIRST))
    assert rotated.decrypt(stored, "token:a") == "hf_secret"
    assert SecretCipher((SECOND,)).decrypt(rotated.encrypt("hf_secret", "token:a"), "token:a") == "hf_secret"


def test_read_cipher_without_key_returns_none() -> None:
    assert read_cipher(Settings()) is None


@pytest.mark.parametrize(
    "text", [encode(FIRST), base64.urlsafe_b64encode(SECOND).decode().rstrip("="), encode(FIRST, SECOND)]
)
def test_read_cipher_takes_keys_of_both_alphabets(text: str) -> None:
    cipher = read_cipher(Settings(secrets_key=text))
    assert cipher is not None
    assert set(cipher.keys) <= {FIRST, SECOND}


@pytest.mark.parametrize("text", [",", "short", encode(FIRST[:31]), f"{encode(FIRST)},x", "é" * 44])
def test_read_cipher_wrong_key_raises_without_showing_it(text: str) -> None:
    with pytest.raises(SecretsKeyInvalid, match="openssl rand") as error:
        read_cipher(Settings(secrets_key=text))
    assert text not in str(error.value).replace("MODELYARD_SECRETS_KEY", "") or text == ","


def test_read_cipher_file_closed_to_others_is_read(tmp_path: Path) -> None:
    file = tmp_path / "secrets.key"
    file.write_text(f"{encode(FIRST)}\n")
    file.chmod(0o600)
    settings = Settings(secrets_key_file=file, data_dir=tmp_path / "data")
    cipher = read_cipher(settings)
    assert cipher is not None
    assert cipher.keys == (FIRST,)
    for mode in (0o640, 0o604, 0o660):
        file.chmod(mode)
        with pytest.raises(SecretsKeyInvalid, match="chmod 600"):
            read_cipher(settings)


def test_read_cipher_file_missing_or_in_data_folder_raises(tmp_path: Path) -> None:
    with pytest.raises(SecretsKeyInvalid, match="cannot be read"):
        read_cipher(Settings(secrets_key_file=tmp_path / "none", data_dir=tmp_path / "data"))
    inside = tmp_path / "data" / "keys" / "secrets.key"
    inside.parent.mkdir(parents=True)
    inside.write_text(encode(FIRST))
    inside.chmod(0o600)
    with pytest.raises(SecretsKeyInvalid, match="data folder"):
        read_cipher(Settings(secrets_key_file=inside, data_dir=tmp_path / "data"))
