"""E-mail addresses: validity, and the key under which an account is found."""

import unicodedata

from pydantic import TypeAdapter, ValidationError

from modelyard.wire.schemas import EmailAddress

_address: TypeAdapter[str] = TypeAdapter(EmailAddress)


def email_key(address: str) -> str:
    """Return the address case-folded and in Unicode NFC; two addresses with one key are the same account."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", address).casefold())


def is_valid_email(text: str) -> bool:
    """Return whether an account can have this address. Sign-in, invitations and operator commands use this rule."""
    try:
        _address.validate_python(text)
    except ValidationError:
        return False
    return True
