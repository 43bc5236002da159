"""No secret appears in the database, the files, the logs, the process list or an error response."""

from pathlib import Path

import pytest

from tests.attacks.state_snapshot import DatabaseRows
from tests.running import RunningServer
from tests.server.environments import PARTS, only_on
from tests.server.harness import PASSWORD, ApiCaller, make_model_file
from tests.server.webhooks.receiver import run_receiver

pytestmark = pytest.mark.slow


class UsedSecrets:
    """Creates and uses every kind of secret, correctly and wrongly; ``secrets`` by name, ``errors`` the responses."""

    def __init__(self, server: RunningServer) -> None:
        self.secrets: dict[str, str] = {"password": PASSWORD}
        self.errors: list[str] = []
        self._owner, self._anonymous = server.owner(), server.anonymous()
        self._create_sessions()
        self._create_keys()
        self._create_urls()
        self._misuse_secrets()

    def _create_sessions(self) -> None:
        """Sign in and refresh; record the access token and both refresh tokens."""
        login = {"email_address": "owner@studio.test", "user_password": PASSWORD}
        tokens = self._anonymous.post("/auth/login", **login).json()
        self.secrets |= {"access token": tokens["access_token"], "refresh token": tokens["refresh_token"]}
        refreshed = self._anonymous.post("/auth/refresh", refresh_token=tokens["refresh_token"]).json()
        self.secrets |= {"second refresh token": refreshed["refresh_token"]}

    def _create_keys(self) -> None:
        """Create keys, pair a device and invite a person; record every secret."""
        for kind in ("integration", "agent"):
            self.secrets[f"{kind} key"] = self._owner.post("/credentials", kind=kind, display_name=kind).json()[
                "raw_key"
            ]
        started = self._anonymous.post("/desktop/pair/start").json()
        self._owner.post("/desktop/pair/confirm", user_code=started["user_code"])
        paired = self._anonymous.post("/desktop/pair/poll", device_code=started["device_code"]).json()
        self.secrets |= {"device code": started["device_code"], "device key": paired["raw_key"]}
        self.secrets["agent key of the device"] = paired["agent_key"]
        invited = self._owner.post("/invitations", email_address="new@studio.test", invitation_role="viewer").json()
        self.secrets["invitation"] = invited["invitation_token"]

    def _create_urls(self) -> None:
        """Download a model by a signed URL; record the signature, and the error of a changed URL."""
        model_id = self._owner.register(make_model_file("canary"))
        url = self._owner.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
        self._owner.client.get(url)
        self.secrets["signature"] = url.rpartition("signature=")[2]
        self.errors.append(self._owner.client.get(url.replace("expires=", "expires=1")).text)

    def _misuse_secrets(self) -> None:
        """Send each secret in places where it does not belong, and collect the responses."""
        for secret in list(self.secrets.values()):
            misuser = ApiCaller(self._anonymous.client, secret, self._owner.team_id)
            responses = [
                misuser.get("/users/me"),
                misuser.delete(f"/credentials/{secret}"),
                self._owner.delete(f"/credentials/{secret}"),
                self._owner.get(f"/models/{secret}"),
                self._owner.get("/models", file_hash=secret, cursor=secret),
                self._owner.post("/models", storage_key=secret, file_hash=secret, model_path=secret),
                self._anonymous.post("/auth/login", email_address="owner@studio.test", user_password=f"{secret}!"),
                self._anonymous.post("/auth/login", email_address={"a": secret}, user_password={"a": secret}),
                self._anonymous.post("/auth/refresh", refresh_token=f"{secret}x"),
                self._anonymous.post("/auth/password-reset", reset_token=secret, new_password=1),
                self._anonymous.client.get(f"/blobs/models/a/b?signature={secret}"),
                self._anonymous.client.get("/healthz", headers={"Referer": secret, "User-Agent": secret}),
                self._anonymous.client.get(f"/{secret}"),
            ]
            self.errors += [f"{response.status_code} {response.text}" for response in responses]


@pytest.fixture(scope="module")
def used_secrets(server: RunningServer) -> UsedSecrets:
    return UsedSecrets(server)


def _find_secrets(text: str, secrets: dict[str, str]) -> list[str]:
    return [name for name, secret in secrets.items() if secret in text]


def test_error_responses_contain_no_secret(used_secrets: UsedSecrets) -> None:
    assert len(used_secrets.errors) > 100
    assert _find_secrets("\n".join(used_secrets.errors), used_secrets.secrets) == []


def test_logs_contain_no_secret(server: RunningServer, used_secrets: UsedSecrets) -> None:
    log = server.log.read_text()
    assert "modelyard.request" in log
    assert _find_secrets(log, used_secrets.secrets) == []


def test_log_of_sent_webhook_does_not_contain_its_address(tmp_path: Path) -> None:
    with run_receiver() as receiver:
        settings = {"webhook_hosts": receiver.host, "log_level": "info"}
        with RunningServer(tmp_path / "data", port=0, **settings) as server:
            owner, url = server.owner(), f"{receiver.url}/T0000/secret-part"
            hook = {"display_name": "Chat", "url": url, "event_list": ["model.registered"]}
            owner.post(f"/webhooks/{owner.post('/webhooks', **hook).json()['id']}/test")
            receiver.wait_for_message()
        assert "secret-part" not in server.log.read_text()


def test_files_and_rows_contain_no_secret(server: RunningServer, used_secrets: UsedSecrets) -> None:
    files = [path for path in server.data_dir.rglob("*") if path.is_file()]
    assert any(path.name == "modelyard.sqlite3" for path in files) is ("sqlite" in PARTS)
    rows = DatabaseRows(server.database_url)
    stored_text = b"\n".join(path.read_bytes() for path in files).decode("latin-1") + str(rows.read_all())
    rows.close()
    assert "owner@studio.test" in stored_text
    assert _find_secrets(stored_text, used_secrets.secrets) == []


def test_process_list_contains_no_secret(server: RunningServer, used_secrets: UsedSecrets) -> None:
    command_line = Path(f"/proc/{server.pid}/cmdline").read_text()
    assert "serve" in command_line.split("\0")
    assert _find_secrets(command_line, used_secrets.secrets) == []


@only_on("folder", reason="nothing else has a folder")
def test_data_folder_is_readable_by_owner_only(server: RunningServer) -> None:
    assert server.data_dir.stat().st_mode & 0o077 == 0
