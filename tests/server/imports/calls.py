"""Calls of the API that start an import and wait for it."""

from typing import Any

from tests.server.harness import ApiCaller
from tests.waiting import wait_until


def confirm(draft: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """Return the body of an import that confirms a draft."""
    kept = ("url", "display_name", "model_type", "model_path", "license")
    sidecar = {"base_model": draft["base_model"], "trigger_words": draft["trigger_words"]}
    source = {"source_url": draft["source"]["page_url"], "file_hash": draft["hashes"]["sha256"]}
    return {name: draft[name] for name in kept} | {"file_size": draft["size"], "sidecar": sidecar} | source | changed


def start(caller: ApiCaller, url: str, /, **changed: Any) -> str:
    """Look a link up, and start its import; return the id."""
    draft = caller.post("/imports/resolve", url=url)
    assert draft.status_code == 200, draft.text
    started = caller.post("/imports", **confirm(draft.json(), **changed))
    assert started.status_code == 201, started.text
    return str(started.json()["id"])


def wait(caller: ApiCaller, import_id: str, *states: str) -> dict[str, Any]:
    """Wait until an import has one of the states, ``done`` without any; return it."""

    def read() -> dict[str, Any]:
        return dict(caller.get(f"/imports/{import_id}").json())

    def find() -> dict[str, Any] | None:
        found = read()
        return found if found["import_state"] in (states or ("done",)) else None

    return wait_until(find, describe=read)


def list_actions(caller: ApiCaller) -> list[str]:
    """Return the actions of the team's audit trail."""
    return [event["action"] for event in caller.get("/audit-events").json()["audit_event_list"]]
