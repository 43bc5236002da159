import pytest

from modelyard.server.identity.email import email_key, is_valid_email

# Addresses that look like another one.
LOOKALIKES = ["ada\u200b@studio.example", "\u202eada@studio.example", "ada@studio\U000e0061.example"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada@Studio.Example", "ada@studio.example"),
        ("JOSE\u0301@x.example", "jos\u00e9@x.example"),
        ("STRASSE@x.example", "straße@x.example"),
    ],
)
def test_email_key_ignores_case_and_unicode_form(one: str, other: str) -> None:
    assert email_key(one) == email_key(other)


def test_email_key_of_email_key_is_unchanged() -> None:
    for address in ("İ@x.example", "ŉ@x.example", "ΐ@x.example", "ẞ@x.example"):
        assert email_key(email_key(address)) == email_key(address)


@pytest.mark.parametrize(
    "text", ["", "a", "a@", "@a", "a@b@c", "a b@c", "a@b\n", "a\x00@b", "a@" + "b" * 254, *LOOKALIKES]
)
def test_is_valid_email_invalid_addresses_return_false(text: str) -> None:
    assert not is_valid_email(text)
