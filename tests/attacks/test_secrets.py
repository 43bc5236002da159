"""Nothing secret rests in the database, the logs, the process list or an error."""

from pathlib import Path

import pytest

from tests.attacks.untouched import Rows
from tests.running import RunningServer
from tests.server.places import PARTS, only_on
from tests.server.world import PASSWORD, Someone, a_model_file


class Canaries:
    """A registry in which every kind of secret was made and used, well and badly."""

    def __init__(self, server: RunningServer) -> None:
        self.secrets: dict[str, str] = {"password": PASSWORD}
        self.errors: list[str] = []
        self._owner, self._nobody = server.owner(), server.nobody()
        self._sessions()
        self._keys()
        self._urls()
        self._misuse()

    def _sessions(self) -> None:
        login = {"email_address": "owner@studio.test", "user_password": PASSWORD}
        pair = self._nobody.post("/auth/login", **login).json()
        self.secrets |= {"access token": pair["access_token"], "refresh token": pair["refresh_token"]}
        fresh = self._nobody.post("/auth/refresh", refresh_token=pair["refresh_token"]).json()
        self.secrets |= {"second refresh token": fresh["refresh_token"]}

    def _keys(self) -> None:
        for kind in ("integration", "agent"):
            self.secrets[f"{kind} key"] = self._owner.post("/credentials", kind=kind, display_name=kind).json()[
                "raw_key"
            ]
        started = self._nobody.post("/desktop/pair/start").json()
        self._owner.post("/desktop/pair/confirm", user_code=started["user_code"])
        paired = self._nobody.post("/desktop/pair/poll", device_code=started["device_code"]).json()
        self.secrets |= {"device code": started["device_code"], "device key": paired["raw_key"]}
        self.secrets["agent key of the device"] = paired["agent_key"]
        invited = self._owner.post("/invitations", email_address="new@studio.test", invitation_role="viewer").json()
        self.secrets["invitation"] = invited["invitation_token"]

    def _urls(self) -> None:
        model_id = self._owner.register(a_model_file("canary"))
        url = self._owner.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
        self._owner.client.get(url)
        self.secrets["signature"] = url.rpartition("signature=")[2]
        self.errors.append(self._owner.client.get(url.replace("expires=", "expires=1")).text)

    def _misuse(self) -> None:
        """Each secret where it does not belong: what is echoed or logged then is what leaks."""
        for secret in list(self.secrets.values()):
            holder = Someone(self._nobody.client, secret, self._owner.team_id)
            answers = [
                holder.get("/users/me"),
                holder.delete(f"/credentials/{secret}"),
                self._owner.delete(f"/credentials/{secret}"),
                self._owner.get(f"/models/{secret}"),
                self._owner.get("/models", file_hash=secret, cursor=secret),
                self._owner.post("/models", storage_key=secret, file_hash=secret, model_path=secret),
                self._nobody.post("/auth/login", email_address="owner@studio.test", user_password=f"{secret}!"),
                self._nobody.post("/auth/login", email_address={"a": secret}, user_password={"a": secret}),
                self._nobody.post("/auth/refresh", refresh_token=f"{secret}x"),
                self._nobody.post("/auth/password-reset", reset_token=secret, new_password=1),
                self._nobody.client.get(f"/blobs/models/a/b?signature={secret}"),
                self._nobody.client.get("/healthz", headers={"Referer": secret, "User-Agent": secret}),
                self._nobody.client.get(f"/{secret}"),
            ]
            self.errors += [f"{answer.status_code} {answer.text}" for answer in answers]


@pytest.fixture(scope="module")
def canaries(server: RunningServer) -> Canaries:
    return Canaries(server)


def _found(text: str, secrets: dict[str, str]) -> list[str]:
    return [name for name, secret in secrets.items() if secret in text]


def test_no_error_repeats_a_secret(canaries: Canaries) -> None:
    assert len(canaries.errors) > 100
    assert _found("\n".join(canaries.errors), canaries.secrets) == []


def test_no_log_line_has_a_secret(server: RunningServer, canaries: Canaries) -> None:
    log = server.log.read_text()
    assert "modelyard.request" in log
    assert _found(log, canaries.secrets) == []


def test_no_file_and_no_row_has_a_secret(server: RunningServer, canaries: Canaries) -> None:
    files = [path for path in server.data_dir.rglob("*") if path.is_file()]
    assert any(path.name == "modelyard.sqlite3" for path in files) is ("sqlite" in PARTS)
    rows = Rows(server.database_url)
    kept = b"\n".join(path.read_bytes() for path in files).decode("latin-1") + str(rows.all())
    rows.close()
    assert "owner@studio.test" in kept
    assert _found(kept, canaries.secrets) == []


def test_the_process_list_shows_no_secret(server: RunningServer, canaries: Canaries) -> None:
    assert _found(Path(f"/proc/{server.pid}/cmdline").read_text(), canaries.secrets) == []


@only_on("folder", reason="nothing else has a folder")
def test_only_the_owner_of_the_process_may_read_its_folder(server: RunningServer) -> None:
    assert server.data_dir.stat().st_mode & 0o077 == 0
