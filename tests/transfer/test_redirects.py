"""What a redirect says: from where, to where, and no secret of either address."""

import pytest

from modelyard.transfer.http.redirects import build_registry_redirected, build_transfer_redirected

SIGNED = "http://files.example:9000/blobs/a1?X-Amz-Signature=secret"

TARGETS = {
    "page of another host": ("https://login.example/start?state=secret", "https://login.example"),
    "https": ("https://files.example:9000/blobs/a1?X-Amz-Signature=secret", "https://files.example:9000"),
    "page of the same host": ("/login?state=secret", "http://files.example:9000/login"),
    "with a password": ("https://user:secret@login.example/", "https://login.example"),
    "none": (None, "another address"),
    "no address": ("http://[login", "another address"),
    "unprintable": ("https://login\x1b.example/", "https://login .example"),
}


@pytest.mark.parametrize(("location", "shown"), TARGETS.values(), ids=TARGETS.keys())
def test_redirected_download_names_both_hosts_without_secrets(location: str | None, shown: str) -> None:
    message = str(build_transfer_redirected("download", SIGNED, location))
    assert message.startswith(f"The download was redirected from http://files.example:9000 to {shown}. ")
    assert "secret" not in message


def test_redirected_registry_names_both_hosts_without_secrets() -> None:
    message = str(build_registry_redirected("http://models.example", "https://login.example/?state=secret"))
    assert "http://models.example redirects to https://login.example." in message
    assert "secret" not in message
