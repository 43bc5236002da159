from pathlib import Path

import pytest
from pydantic import ValidationError

from modelyard.agent.registry.keys import AgentKeyStore, choose_name, find_machine_name
from modelyard.agent.settings import SettingsUnreadable, get_default_agent_id, read_settings
from modelyard.client.profile import NoKey, Profile, ProfileFile
from modelyard.wire.agents.values import AGENT_ID_PATTERN

FIRST, SECOND = "http://127.0.0.1:8400", "http://127.0.0.1:8401"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "agent.toml"


def test_read_settings_empty_returns_defaults(file: Path) -> None:
    settings = read_settings({"MODELYARD_AGENT_CONFIG": str(file)})
    assert settings.parallel == 4
    assert settings.agent_id == get_default_agent_id()


def test_read_settings_flags_override_environment_and_file(file: Path) -> None:
    file.write_text('labels = ["file"]\nparallel = 2\nrate_limit = "1MB"\n')
    environment = {
        "MODELYARD_AGENT_CONFIG": str(file),
        "MODELYARD_AGENT_LABELS": "one, two",
        "MODELYARD_AGENT_PARALLEL": "3",
    }
    settings = read_settings(environment, labels=["flag"], parallel=None)
    assert (settings.labels, settings.parallel, settings.rate_limit) == (["flag"], 3, 1_000_000)


def test_read_settings_parses_sizes_hours_and_folders(file: Path) -> None:
    file.write_text('keep_free = "50GB"\ndisk_budget = "2TiB"\nhours = "22:00-7:00"\ncomfyui = ["~/ComfyUI"]\n')
    settings = read_settings({"MODELYARD_AGENT_CONFIG": str(file)})
    assert (settings.keep_free, settings.disk_budget, settings.hours) == (50_000_000_000, 2 * 1024**4, "22:00-07:00")
    assert settings.comfyui == (Path.home() / "ComfyUI",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lables = []", "lables, which is not a setting"),
        ("labels = [", "not valid TOML"),
        ('key = "ak-x"', "contains a key"),
    ],
)
def test_read_settings_invalid_file_raises_settings_unreadable(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsUnreadable, match=message):
        read_settings({"MODELYARD_AGENT_CONFIG": str(file)})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("agent_id", "two words"),
        ("agent_id", ".."),
        ("hours", "late"),
        ("rate_limit", "0"),
        ("key", "sk-x"),
        ("labels", "a b"),
        ("url", "x"),
        ("comfyui_url", "http://[::1"),
        ("comfyui_url", f"http://{'a' * 64}.example:8188"),
    ],
)
def test_read_settings_invalid_value_names_setting(file: Path, name: str, value: str) -> None:
    environment = {"MODELYARD_AGENT_CONFIG": str(file), f"MODELYARD_AGENT_{name.upper()}": value}
    with pytest.raises(ValidationError, match=name):
        read_settings(environment)


def test_settings_repr_does_not_contain_key(file: Path) -> None:
    settings = read_settings({"MODELYARD_AGENT_CONFIG": str(file), "MODELYARD_AGENT_KEY": "ak-secret"})
    assert "ak-secret" not in repr(settings)


@pytest.mark.parametrize("name", ["Render 07", "", "räume", "x" * 100, "-", ".", ".."])
def test_default_agent_id_from_any_host_name_is_valid(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    import re

    monkeypatch.setattr("socket.gethostname", lambda: name)
    assert re.fullmatch(AGENT_ID_PATTERN, get_default_agent_id())


def fail_on_warning(text: str) -> None:
    raise AssertionError(text)


def open_key_store(tmp_path: Path) -> AgentKeyStore:
    return AgentKeyStore(tmp_path / "profiles.json", fail_on_warning)


def test_get_credentials_without_key_mentions_pairing(tmp_path: Path, file: Path) -> None:
    with pytest.raises(NoKey, match="modelyard agent pair"):
        open_key_store(tmp_path).get_credentials(read_settings({"MODELYARD_AGENT_CONFIG": str(file)}))


def test_get_credentials_paired_key_is_used_only_for_its_registry(tmp_path: Path, file: Path) -> None:
    key_store = open_key_store(tmp_path)
    key_store.save_key(FIRST, "ak-first", "render-07")
    environment = {"MODELYARD_AGENT_CONFIG": str(file)}
    assert key_store.get_credentials(read_settings(environment)).key == "ak-first"
    assert key_store.get_credentials(read_settings(environment, url=FIRST)).key == "ak-first"
    with pytest.raises(NoKey):
        key_store.get_credentials(read_settings(environment, url=SECOND))


def test_get_credentials_environment_key_overrides_paired_key(tmp_path: Path, file: Path) -> None:
    key_store = open_key_store(tmp_path)
    key_store.save_key(FIRST, "ak-paired", "render-07")
    environment = {"MODELYARD_AGENT_CONFIG": str(file), "MODELYARD_AGENT_KEY": "ak-given"}
    credentials = key_store.get_credentials(read_settings(environment))
    assert (credentials.url, credentials.key) == (FIRST, "ak-given")


def test_get_credentials_uses_agent_key_of_command_line_profile(tmp_path: Path, file: Path) -> None:
    ProfileFile(tmp_path / "profiles.json", fail_on_warning).save(
        Profile(url=FIRST, token="dk-person", agent_key="ak-machine")
    )
    assert (
        open_key_store(tmp_path).get_credentials(read_settings({"MODELYARD_AGENT_CONFIG": str(file)})).key
        == "ak-machine"
    )


def test_damaged_profile_file_does_not_hide_the_paired_key(tmp_path: Path, file: Path) -> None:
    key_store = open_key_store(tmp_path)
    key_store.save_key(FIRST, "ak-paired", "render-07")
    (tmp_path / "profiles.json").write_bytes(b"\xff{")
    assert key_store.get_credentials(read_settings({"MODELYARD_AGENT_CONFIG": str(file)})).key == "ak-paired"


def test_name_from_pairing_is_used_unless_settings_have_a_name_or_a_key(tmp_path: Path, file: Path) -> None:
    key_store = open_key_store(tmp_path)
    key_store.save_key(FIRST, "ak-paired", "render-07")

    def get_name(**variables: str) -> str:
        environment = {"MODELYARD_AGENT_CONFIG": str(file)} | variables
        return key_store.use_paired_name(read_settings(environment)).agent_id

    assert get_name() == "render-07"
    assert get_name(MODELYARD_AGENT_URL=SECOND) == get_default_agent_id()
    assert get_name(MODELYARD_AGENT_AGENT_ID="box") == "box"
    assert get_name(MODELYARD_AGENT_KEY="ak-given") == get_default_agent_id()


@pytest.mark.parametrize(
    ("confirmed", "known", "name"),
    [
        ("render-07", [], "render-07"),
        (None, [], "before"),
        ("render-07", ["before"], "before"),
        ("render-07", ["another"], "render-07"),
    ],
)
def test_machine_gets_the_confirmed_name_unless_it_has_run_before(
    confirmed: str | None, known: list[str], name: str
) -> None:
    assert choose_name(confirmed, "before", known) == name


def test_only_a_confirmed_name_that_a_machine_can_have_is_used() -> None:
    assert find_machine_name("render-07") == "render-07"
    assert [find_machine_name(name) for name in (None, "Device AB7K", "")] == [None, None, None]
