import pytest

from modelyard.server.identity.email import email_key, is_address


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada@Studio.Example", "ada@studio.example"),
        ("JOSE\u0301@x.example", "jos\u00e9@x.example"),
        ("STRASSE@x.example", "straße@x.example"),
    ],
)
def test_case_and_unicode_form_make_no_other_account(one: str, other: str) -> None:
    assert email_key(one) == email_key(other)


def test_the_key_of_a_key_is_itself() -> None:
    for address in ("İ@x.example", "ŉ@x.example", "ΐ@x.example", "ẞ@x.example"):
        assert email_key(email_key(address)) == email_key(address)


@pytest.mark.parametrize("text", ["", "a", "a@", "@a", "a@b@c", "a b@c", "a@b\n", "a\x00@b", "a@" + "b" * 254])
def test_what_no_account_can_have_is_no_address(text: str) -> None:
    assert not is_address(text)
