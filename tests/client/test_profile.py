import stat
from pathlib import Path

import pytest

from modelyard.client.profile import Profile, ProfileFile, ProfileUnreadable

FIRST = Profile(url="http://one.example", token="sk-one")
SECOND = Profile(url="http://other.example", token="sk-other")


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def profiles(tmp_path: Path, warnings: list[str]) -> ProfileFile:
    return ProfileFile(tmp_path / "config" / "profiles.json", warnings.append)


def test_profile_file_and_folder_are_created_for_owner_only(profiles: ProfileFile) -> None:
    profiles.save(FIRST)
    assert stat.S_IMODE(profiles.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(profiles.path.parent.stat().st_mode) == 0o700


def test_profile_file_readable_by_others_gets_mode_600_with_warning(profiles: ProfileFile, warnings: list[str]) -> None:
    profiles.save(FIRST)
    profiles.path.chmod(0o644)
    assert profiles.find() == FIRST
    assert stat.S_IMODE(profiles.path.stat().st_mode) == 0o600
    assert "644" in warnings[0]


def test_save_profile_makes_it_the_current_one(profiles: ProfileFile) -> None:
    profiles.save(FIRST)
    profiles.save(SECOND)
    assert profiles.find() == SECOND
    assert profiles.find(FIRST.url) == FIRST


def test_find_profile_of_similar_url_returns_none(profiles: ProfileFile) -> None:
    profiles.save(FIRST)
    assert profiles.find("http://one.example.evil") is None


def test_update_profile_does_not_change_which_is_current(profiles: ProfileFile) -> None:
    profiles.save(FIRST)
    profiles.save(SECOND)
    profiles.update(FIRST.model_copy(update={"token": "sk-fresh"}))
    assert profiles.find() == SECOND
    assert profiles.find(FIRST.url) == Profile(url=FIRST.url, token="sk-fresh")


def test_remove_profile_twice_has_no_effect_the_second_time(profiles: ProfileFile) -> None:
    profiles.save(FIRST)
    profiles.remove(FIRST.url)
    profiles.remove(FIRST.url)
    assert profiles.find() is None
    assert profiles.find(FIRST.url) is None


def test_save_profile_to_symbolic_link_keeps_the_link(profiles: ProfileFile, tmp_path: Path) -> None:
    profiles.path.parent.mkdir()
    profiles.path.symlink_to(tmp_path / "dotfiles.json")
    profiles.save(FIRST)
    assert profiles.path.is_symlink()
    assert profiles.find() == FIRST


def test_find_profile_in_damaged_file_raises_profile_unreadable_with_file_name(profiles: ProfileFile) -> None:
    profiles.save(FIRST)
    profiles.path.write_text("{")
    with pytest.raises(ProfileUnreadable, match=r"profiles\.json"):
        profiles.find()


def test_repr_of_profile_omits_tokens() -> None:
    assert "sk-one" not in repr(FIRST)
