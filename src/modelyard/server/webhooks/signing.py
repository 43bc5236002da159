"""Secrets of webhooks, and the signature of each request by Standard Webhooks."""

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from standardwebhooks import Webhook

from modelyard.server.encryption import SecretCipher, SecretUnreadable

_PREFIX = "whsec_"
_SECRET_BYTES = 32


def create_secret() -> str:
    """Return a new secret with the prefix ``whsec_``."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def seal_secret(cipher: SecretCipher | None, secret: str, webhook_id: UUID) -> str:
    """Return a secret as it is stored: encrypted, or as it is if the operator has set no key."""
    return secret if cipher is None else cipher.encrypt(secret, _get_purpose(webhook_id))


def unseal_secret(cipher: SecretCipher | None, stored: str, webhook_id: UUID) -> str:
    """Return a stored secret.

    Raises:
        SecretUnreadable: it was encrypted with a key that the settings do not have.
    """
    if stored.startswith(_PREFIX):
        return stored
    if cipher is None:
        raise SecretUnreadable("The secret is encrypted, and there is no key.")
    return cipher.decrypt(stored, _get_purpose(webhook_id))


def _get_purpose(webhook_id: UUID) -> str:
    """Return for what a secret is encrypted, so that it is of no use in the row of another webhook."""
    return f"webhook secret {webhook_id}"


def build_headers(secret_list: Sequence[str], delivery_id: UUID, moment: datetime, body: str) -> dict[str, str]:
    """Return the headers of an attempt, with a signature by each secret; ``moment`` is that of the attempt, in UTC."""
    message_id = str(delivery_id)
    signatures = [Webhook(secret).sign(message_id, moment, body) for secret in secret_list]
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
