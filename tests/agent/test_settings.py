from pathlib import Path

import pytest
from pydantic import ValidationError

from modelyard.agent.keys import KeyRing
from modelyard.agent.settings import SettingsUnreadable, read_settings, usual_agent_id
from modelyard.client.profile import NoKey, Profile, ProfileFile
from modelyard.wire.agents import AGENT_ID_PATTERN

FIRST, SECOND = "http://127.0.0.1:8400", "http://127.0.0.1:8401"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "agent.toml"


def test_without_anything_there_are_defaults(file: Path) -> None:
    settings = read_settings({"MODELYARD_AGENT_CONFIG": str(file)})
    assert settings.parallel == 4
    assert settings.agent_id == usual_agent_id()


def test_flags_win_over_the_environment_and_that_over_the_file(file: Path) -> None:
    file.write_text('labels = ["file"]\nparallel = 2\nrate_limit = "1MB"\n')
    environment = {
        "MODELYARD_AGENT_CONFIG": str(file),
        "MODELYARD_AGENT_LABELS": "one, two",
        "MODELYARD_AGENT_PARALLEL": "3",
    }
    settings = read_settings(environment, labels=["flag"], parallel=None)
    assert (settings.labels, settings.parallel, settings.rate_limit) == (["flag"], 3, 1_000_000)


def test_sizes_hours_and_folders_are_written_as_people_write_them(file: Path) -> None:
    file.write_text('keep_free = "50GB"\ndisk_budget = "2TiB"\nhours = "22:00-7:00"\ncomfyui = ["~/ComfyUI"]\n')
    settings = read_settings({"MODELYARD_AGENT_CONFIG": str(file)})
    assert (settings.keep_free, settings.disk_budget, settings.hours) == (50_000_000_000, 2 * 1024**4, "22:00-07:00")
    assert settings.comfyui == (Path.home() / "ComfyUI",)


@pytest.mark.parametrize(
    ("text", "said"),
    [("lables = []", "lables, which is no setting"), ("labels = [", "no TOML"), ('key = "ak-x"', "holds a key")],
)
def test_a_file_that_says_something_else_is_refused_in_words(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsUnreadable, match=said):
        read_settings({"MODELYARD_AGENT_CONFIG": str(file)})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("agent_id", "two words"),
        ("hours", "late"),
        ("rate_limit", "0"),
        ("key", "sk-x"),
        ("labels", "a b"),
        ("url", "x"),
    ],
)
def test_a_value_that_does_not_fit_is_named(file: Path, name: str, value: str) -> None:
    environment = {"MODELYARD_AGENT_CONFIG": str(file), f"MODELYARD_AGENT_{name.upper()}": value}
    with pytest.raises(ValidationError, match=name):
        read_settings(environment)


def test_the_key_is_never_shown(file: Path) -> None:
    settings = read_settings({"MODELYARD_AGENT_CONFIG": str(file), "MODELYARD_AGENT_KEY": "ak-secret"})
    assert "ak-secret" not in repr(settings)


@pytest.mark.parametrize("name", ["Render 07", "", "räume", "x" * 100, "-"])
def test_every_host_name_gives_an_id(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    import re

    monkeypatch.setattr("socket.gethostname", lambda: name)
    assert re.fullmatch(AGENT_ID_PATTERN, usual_agent_id())


def no_warning(text: str) -> None:
    raise AssertionError(text)


def ring_in(tmp_path: Path) -> KeyRing:
    return KeyRing(tmp_path / "profiles.json", no_warning)


def test_a_machine_without_a_key_says_how_to_get_one(tmp_path: Path, file: Path) -> None:
    with pytest.raises(NoKey, match="modelyard agent pair"):
        ring_in(tmp_path).find(read_settings({"MODELYARD_AGENT_CONFIG": str(file)}))


def test_a_paired_key_is_found_for_its_own_registry_only(tmp_path: Path, file: Path) -> None:
    ring = ring_in(tmp_path)
    ring.keep(FIRST, "ak-first")
    environment = {"MODELYARD_AGENT_CONFIG": str(file)}
    assert ring.find(read_settings(environment)).key == "ak-first"
    assert ring.find(read_settings(environment, url=FIRST)).key == "ak-first"
    with pytest.raises(NoKey):
        ring.find(read_settings(environment, url=SECOND))


def test_the_key_of_the_environment_wins(tmp_path: Path, file: Path) -> None:
    ring = ring_in(tmp_path)
    ring.keep(FIRST, "ak-paired")
    environment = {"MODELYARD_AGENT_CONFIG": str(file), "MODELYARD_AGENT_KEY": "ak-given"}
    found = ring.find(read_settings(environment))
    assert (found.url, found.key) == (FIRST, "ak-given")


def test_the_command_line_s_pairing_has_a_key_for_the_agent(tmp_path: Path, file: Path) -> None:
    ProfileFile(tmp_path / "profiles.json", no_warning).save(
        Profile(url=FIRST, token="dk-person", agent_key="ak-machine")
    )
    assert ring_in(tmp_path).find(read_settings({"MODELYARD_AGENT_CONFIG": str(file)})).key == "ak-machine"
