"""What makes two e-mail addresses the same account."""

import re
import unicodedata

from modelyard.wire.shapes import EMAIL_PATTERN


def email_key(address: str) -> str:
    """The address without case, in one Unicode form."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", address).casefold())


def is_address(text: str) -> bool:
    """Whether an account can have this address."""
    return 3 <= len(text) <= 254 and re.fullmatch(EMAIL_PATTERN, text) is not None and not text.endswith("\n")
