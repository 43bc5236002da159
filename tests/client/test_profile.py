import stat
from pathlib import Path

import pytest

from modelyard.client.profile import Profile, ProfileFile, ProfileUnreadable

ONE = Profile(url="http://one.example", token="sk-one")
OTHER = Profile(url="http://other.example", token="sk-other")


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def profiles(tmp_path: Path, warnings: list[str]) -> ProfileFile:
    return ProfileFile(tmp_path / "config" / "profiles.json", warnings.append)


def test_only_the_owner_may_read_the_file(profiles: ProfileFile) -> None:
    profiles.save(ONE)
    assert stat.S_IMODE(profiles.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(profiles.path.parent.stat().st_mode) == 0o700


def test_a_file_open_to_others_is_closed_with_a_warning(profiles: ProfileFile, warnings: list[str]) -> None:
    profiles.save(ONE)
    profiles.path.chmod(0o644)
    assert profiles.find() == ONE
    assert stat.S_IMODE(profiles.path.stat().st_mode) == 0o600
    assert "644" in warnings[0]


def test_the_last_saved_profile_is_the_current_one(profiles: ProfileFile) -> None:
    profiles.save(ONE)
    profiles.save(OTHER)
    assert profiles.find() == OTHER
    assert profiles.find(ONE.url) == ONE


def test_a_token_is_not_found_for_another_registry(profiles: ProfileFile) -> None:
    profiles.save(ONE)
    assert profiles.find("http://one.example.evil") is None


def test_an_update_leaves_the_current_profile_as_it_is(profiles: ProfileFile) -> None:
    profiles.save(ONE)
    profiles.save(OTHER)
    profiles.update(ONE.model_copy(update={"token": "sk-fresh"}))
    assert profiles.find() == OTHER
    assert profiles.find(ONE.url) == Profile(url=ONE.url, token="sk-fresh")


def test_a_profile_may_be_removed_twice(profiles: ProfileFile) -> None:
    profiles.save(ONE)
    profiles.remove(ONE.url)
    profiles.remove(ONE.url)
    assert profiles.find() is None
    assert profiles.find(ONE.url) is None


def test_a_linked_file_stays_a_link(profiles: ProfileFile, tmp_path: Path) -> None:
    profiles.path.parent.mkdir()
    profiles.path.symlink_to(tmp_path / "dotfiles.json")
    profiles.save(ONE)
    assert profiles.path.is_symlink()
    assert profiles.find() == ONE


def test_a_damaged_file_is_named(profiles: ProfileFile) -> None:
    profiles.save(ONE)
    profiles.path.write_text("{")
    with pytest.raises(ProfileUnreadable, match=r"profiles\.json"):
        profiles.find()


def test_secrets_do_not_show_in_a_printed_profile() -> None:
    assert "sk-one" not in repr(ONE)
