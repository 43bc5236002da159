import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from modelyard_bridge import routes
from modelyard_bridge.agent_connection import (
    MAX_RESPONSE_BYTES,
    SOCKET_SETTING,
    AgentUnavailableError,
    find_socket,
)
from tests.comfyui_extension.agent_peer import AgentPeer, Post

SHA256 = "ab" * 32


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("models", "/v1/models"),
        ("workflow-check", "/v1/workflow-check"),
        ("fetch", "/v1/fetch"),
        ("progress", "/v1/progress"),
        ("push", "/v1/push"),
    ],
)
async def test_request_is_passed_to_the_agent(agent: AgentPeer, post: Post, name: str, path: str) -> None:
    response = await post(name, {"model_ids": ["a"]})
    assert (response.status, await response.json()) == (200, {"ok": True})
    assert agent.requests == [("POST", path, {"model_ids": ["a"]})]


async def test_status_asks_the_agent_without_body(agent: AgentPeer, post: Post) -> None:
    assert (await post("status")).status == 200
    assert agent.requests == [("GET", "/v1/status", None)]


async def test_preview_is_sent_as_picture(agent: AgentPeer, post: Post) -> None:
    agent.response = lambda: web.Response(body=b"picture", content_type="image/webp")
    response = await post("preview", {"sha256": SHA256})
    assert (response.content_type, await response.read()) == ("image/webp", b"picture")
    assert response.headers["Cache-Control"] == "no-store"
    assert agent.requests == [("GET", f"/v1/previews/{SHA256}", None)]


@pytest.mark.parametrize("sha256", [None, 7, "", "../status", SHA256.upper(), SHA256 + "\n"])
async def test_preview_malformed_hash_returns_400(agent: AgentPeer, post: Post, sha256: object) -> None:
    assert (await post("preview", {"sha256": sha256})).status == 400
    assert agent.requests == []


async def test_problem_of_the_agent_is_passed_on(agent: AgentPeer, post: Post) -> None:
    problem = {"type": "/problems/registry-unreachable", "title": "The registry does not answer"}
    agent.response = lambda: web.json_response(problem, status=503, content_type="application/problem+json")
    response = await post("models")
    assert (response.status, await response.json()) == (503, problem)


async def test_response_of_unexpected_type_returns_502(agent: AgentPeer, post: Post) -> None:
    agent.response = lambda: web.Response(text="<script>", content_type="text/html")
    response = await post("models")
    assert (response.status, response.content_type) == (502, "application/problem+json")


async def test_request_with_nan_is_passed_unchanged(agent: AgentPeer, post: Post) -> None:
    await post("workflow-check", b'{"workflow": {"value": NaN}}')
    assert str(agent.requests[0][2]["workflow"]["value"]) == "nan"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Origin": None}, 403, id="no-origin"),
        pytest.param({"Origin": "http://evil.test"}, 403, id="other-origin"),
        pytest.param({"Host": "evil.test", "Origin": "http://evil.test"}, 403, id="dns-rebinding"),
        pytest.param({"Sec_Fetch_Site": "cross-site"}, 403, id="cross-site"),
        pytest.param({"X_Modelyard": None}, 403, id="no-own-header"),
        pytest.param({"Content_Type": "text/plain"}, 403, id="simple-content-type"),
    ],
)
@pytest.mark.parametrize("name", ["status", "models", "workflow-check", "fetch", "progress", "push", "preview"])
async def test_request_from_elsewhere_is_not_passed_on(
    agent: AgentPeer, post: Post, name: str, headers: dict[str, str | None], status: int
) -> None:
    assert (await post(name, {"sha256": SHA256}, **headers)).status == status
    assert agent.requests == []


@pytest.mark.parametrize("body", [b"{", b"[]", b"[" * 200_000], ids=["not-json", "no-object", "deep"])
async def test_malformed_preview_request_returns_400(agent: AgentPeer, post: Post, body: bytes) -> None:
    response = await post("preview", body[: routes.MAX_PREVIEW_BYTES])
    assert (response.status, response.content_type) == (400, "application/problem+json")
    assert agent.requests == []


@pytest.mark.parametrize("body", [b"{", b"[" * 200_000], ids=["not-json", "deep"])
@pytest.mark.parametrize("name", ["workflow-check", "push", "fetch"])
async def test_body_for_the_agent_is_passed_on_without_parsing(
    agent: AgentPeer, post: Post, name: str, body: bytes
) -> None:
    assert (await post(name, body)).status == 200
    assert agent.requests == [("POST", f"/v1/{name}", body)]


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("preview", routes.MAX_PREVIEW_BYTES),
        ("fetch", routes.MAX_BODY_BYTES),
        ("workflow-check", routes.MAX_WORKFLOW_BYTES),
    ],
)
async def test_too_long_body_returns_413(agent: AgentPeer, post: Post, name: str, limit: int) -> None:
    response = await post(name, b" " * (limit + 1))
    assert (response.status, response.content_type) == (413, "application/problem+json")
    assert agent.requests == []


async def test_large_bodies_above_the_bound_are_refused(
    agent: AgentPeer, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = {"workflow": {"text": "x" * routes.MAX_BODY_BYTES * 2}}
    agent.is_answering.clear()
    sent = [asyncio.ensure_future(post("workflow-check", large)) for _ in range(routes.MAX_LARGE_BODIES)]
    for _ in sent:
        await agent.arrived.acquire()
    monkeypatch.setattr(routes, "SLOT_SECONDS", 0.01)
    assert (await post("workflow-check", large)).status == 503

    agent.is_answering.set()
    assert [(await response).status for response in sent] == [200] * routes.MAX_LARGE_BODIES
    assert (await post("workflow-check", large)).status == 200


async def test_large_workflow_is_passed_on(agent: AgentPeer, post: Post) -> None:
    response = await post("workflow-check", {"workflow": {"text": "x" * routes.MAX_BODY_BYTES * 2}})
    assert response.status == 200
    assert len(agent.requests) == 1


async def test_too_long_response_of_the_agent_returns_503(agent: AgentPeer, post: Post) -> None:
    agent.response = lambda: web.Response(body=b" " * (MAX_RESPONSE_BYTES + 1), content_type="application/json")
    assert (await post("models")).status == 503


async def test_agent_that_is_gone_returns_503_and_says_what_to_do(
    agent: AgentPeer, post: Post, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SOCKET_SETTING, str(tmp_path / "gone.sock"))
    response = await post("models")
    assert response.status == 503
    problem = await response.json()
    assert problem["type"] == "/problems/agent-unavailable"
    assert "modelyard agent run" in problem["detail"]


async def test_agent_that_closes_the_connection_returns_503(
    post: Post, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    socket = tmp_path / "closing.sock"
    monkeypatch.setenv(SOCKET_SETTING, str(socket))
    async with await asyncio.start_unix_server(close, str(socket)):
        assert (await post("models")).status == 503


def write_config(folder: Path, text: str) -> Path:
    (folder / "agent.json").write_text(text)
    return folder


def create_sockets(state: Path, *agents: str) -> list[Path]:
    sockets = [state / "modelyard" / "agents" / agent / "bridge" / "agent.sock" for agent in agents]
    for socket in sockets:
        socket.parent.mkdir(parents=True)
        socket.touch()
    return sockets


def test_find_socket_prefers_setting_then_file_then_state_folder(tmp_path: Path) -> None:
    (default,) = create_sockets(tmp_path / "state", "render-07")
    environment = {"XDG_STATE_HOME": str(tmp_path / "state")}
    assert find_socket(tmp_path, environment) == default
    write_config(tmp_path, '{"socket": "/run/file.sock"}')
    assert find_socket(tmp_path, environment) == Path("/run/file.sock")
    assert find_socket(tmp_path, environment | {SOCKET_SETTING: "/run/set.sock"}) == Path("/run/set.sock")


@pytest.fixture
def linked(tmp_path: Path) -> tuple[Path, Path]:
    """A link to a socket in two private folders, as the agent makes it, and where it leads."""
    target = tmp_path / "modelyard" / "0123456789abcdef" / "agent.sock"
    for folder in (target.parents[1], target.parent):
        folder.mkdir(mode=0o700)
    link = tmp_path / "agent.sock"
    link.symlink_to(target)
    return link, target


def test_find_socket_follows_a_link_to_private_folders(linked: tuple[Path, Path]) -> None:
    link, target = linked
    assert find_socket(link.parent, {SOCKET_SETTING: str(link)}) == target
    target.parent.rmdir()
    with pytest.raises(AgentUnavailableError, match="cannot be reached"):
        find_socket(link.parent, {SOCKET_SETTING: str(link)})


@pytest.mark.parametrize("level", [0, 1], ids=["the folder", "the folder above"])
@pytest.mark.parametrize("kind", ["open to others", "link"])
def test_find_socket_does_not_follow_a_link_through_folders_of_others(
    linked: tuple[Path, Path], kind: str, level: int
) -> None:
    link, target = linked
    folder = target.parents[level]
    if kind == "link":
        moved = folder.rename(link.parent / "elsewhere")
        folder.symlink_to(moved)
    else:
        folder.chmod(0o755)
    with pytest.raises(AgentUnavailableError, match="only this user"):
        find_socket(link.parent, {SOCKET_SETTING: str(link)})


def test_find_socket_does_not_follow_a_link_to_a_link(linked: tuple[Path, Path]) -> None:
    link, target = linked
    target.symlink_to(link.parent / "other.sock")
    with pytest.raises(AgentUnavailableError, match="not a socket"):
        find_socket(link.parent, {SOCKET_SETTING: str(link)})


def find_several(folder: Path) -> Path:
    create_sockets(folder, "render-07", "render-08")
    return folder


@pytest.mark.parametrize(
    "prepare",
    [
        pytest.param(lambda folder: folder, id="no-agent"),
        pytest.param(find_several, id="several-agents"),
        pytest.param(lambda folder: write_config(folder, "{"), id="malformed-file"),
        pytest.param(lambda folder: write_config(folder, "[]"), id="file-without-object"),
        pytest.param(lambda folder: write_config(folder, '{"socket": 7}'), id="file-without-path"),
    ],
)
def test_find_socket_unknown_agent_raises(tmp_path: Path, prepare: Callable[[Path], Path]) -> None:
    with pytest.raises(AgentUnavailableError):
        find_socket(prepare(tmp_path), {"XDG_STATE_HOME": str(tmp_path)})
