"""Texts of failures for programs that repeat what failed by themselves."""

import re

# Registries write it for people, beside ``retry_after``: "The store does not answer. Try again."
_retry_advice = re.compile(r"\s*\bTry again\b[^.]*\.")


def omit_retry_advice(text: str) -> str:
    """Return a failure's text without sentences that tell its reader to try again; other advice stays."""
    return _retry_advice.sub("", text).strip() or text
