"""Encryption of secrets that the registry has to use itself, such as tokens of sources.

The keys are the operator's, and are neither in the database nor in its backups: a copy of the database alone decrypts
nothing.
"""

import base64
import binascii
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from modelyard.server.settings import Settings

KEY_BYTES, NONCE_BYTES = 32, 12
MAX_KEY_FILE_BYTES = 10_000
_PREFIX = "v1."


class SecretsKeyInvalid(OSError):
    """The key of the settings cannot be used; the text says what to do."""


class SecretUnreadable(Exception):
    """A stored secret was encrypted with another key, or for another purpose."""


@dataclass(frozen=True, repr=False)
class SecretCipher:
    """Encrypts secrets by AES-256-GCM with the first key, and decrypts them with any of the keys."""

    keys: tuple[bytes, ...]

    def encrypt(self, secret: str, purpose: str) -> str:
        """Return a secret encrypted, as ASCII text. It can be decrypted for the same ``purpose`` only.

        The purpose is no secret: name the kind of secret, and the ids of the row that it belongs to, so that the value
        of one row is of no use in another one.
        """
        nonce = os.urandom(NONCE_BYTES)
        sealed = AESGCM(self.keys[0]).encrypt(nonce, secret.encode(), purpose.encode())
        return _PREFIX + base64.urlsafe_b64encode(nonce + sealed).decode("ascii")

    def decrypt(self, stored: str, purpose: str) -> str:
        """Return what ``encrypt`` encrypted for this purpose.

        Raises:
            SecretUnreadable: it was encrypted with none of the keys, or for another purpose.
        """
        sealed = _decode_base64(stored.removeprefix(_PREFIX)) if stored.startswith(_PREFIX) else b""
        for key in self.keys if len(sealed) > NONCE_BYTES else ():
            try:
                return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], purpose.encode()).decode()
            except InvalidTag:
                continue
        raise SecretUnreadable("The secret was encrypted with another key.")


def read_cipher(settings: Settings) -> SecretCipher | None:
    """Return the cipher with the keys of ``MODELYARD_SECRETS_KEY`` or else of the key file; None without either.

    Raises:
        SecretsKeyInvalid: a key has another length, or the file is inside the data folder or open to other users.
    """
    if settings.secrets_key:
        return SecretCipher(_parse_keys(settings.secrets_key, "MODELYARD_SECRETS_KEY"))
    if settings.secrets_key_file is None:
        return None
    file = settings.secrets_key_file
    if file.resolve().is_relative_to(settings.data_dir.resolve()):
        raise SecretsKeyInvalid(
            f"The key file {file} is in the data folder, and so in its backups. Move it to another folder."
        )
    return SecretCipher(_parse_keys(_read_key_file(file), str(file)))


def _read_key_file(file: Path) -> str:
    """Return the text of a key file; raise ``SecretsKeyInvalid`` if other users may read it, or it cannot be read."""
    with _open_key_file(file) as opened:
        found = os.fstat(opened.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise SecretsKeyInvalid(f"The key file {file} is no regular file.")
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise SecretsKeyInvalid(f"Other users may read the key file {file}. Close it: chmod 600 {file}")
        return opened.read(MAX_KEY_FILE_BYTES).decode("ascii", "replace")


@contextmanager
def _open_key_file(file: Path) -> Iterator[IO[bytes]]:
    """Open a key file; raises ``SecretsKeyInvalid`` if it cannot be opened."""
    try:
        opened = file.open("rb")
    except OSError as error:
        raise SecretsKeyInvalid(f"The key file {file} cannot be read: {error.strerror}.") from None
    with opened:
        yield opened


def _parse_keys(text: str, origin: str) -> tuple[bytes, ...]:
    """Return the keys of a text: base64, separated by commas or white space. Raises ``SecretsKeyInvalid``."""
    keys = tuple(_decode_base64(part) for part in re.split(r"[\s,]+", text) if part)
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        raise SecretsKeyInvalid(f"{origin} has no key of 32 bytes in base64. Make one: openssl rand -base64 32")
    return keys


def _decode_base64(text: str) -> bytes:
    """Return the bytes of a base64 text of either alphabet, also without padding; empty if it is none."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""
