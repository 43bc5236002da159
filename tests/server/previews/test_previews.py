"""Setting, removing and reading the previews of versions through the API."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import select, update

from modelyard.server.http.operation_limiter import OperationLimiter
from modelyard.server.models.tables import ModelVersionRow
from modelyard.server.previews import decoder, request_decoding
from modelyard.server.previews.decoder import _FREE_SLOTS, SLOTS, render_png
from modelyard.server.previews.tables import PreviewRow
from modelyard.server.uploads.tables import DiscardedRow
from modelyard.wire.formats import MAX_PICTURE_BYTES
from tests.server.harness import ApiCaller, Harness, make_model_file
from tests.server.previews.drawings import HTML, SVG, make_photo_with_place, make_png, open_picture
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.slow


def put_preview(caller: ApiCaller, model_id: str, content: bytes, version: int = 1, **query: Any) -> httpx2.Response:
    return caller.call("PUT", f"/models/{model_id}/versions/{version}/preview", content=content, params=query)


def read_picture(caller: ApiCaller, url: str, **query: Any) -> httpx2.Response:
    return caller.get(url.removeprefix("/api/v1"), **query)


def test_set_preview_appears_on_model_and_version(team: ApiCaller) -> None:
    model_id = team.register()
    before = team.get(f"/models/{model_id}")
    assert (before.json()["preview_url"], before.json()["preview_color"]) == (None, None)
    answer = put_preview(team, model_id, make_png())
    assert answer.status_code == 200
    preview = answer.json()
    assert preview["preview_url"].startswith("/api/v1/previews/")
    for path in (f"/models/{model_id}", f"/models/{model_id}/versions/1"):
        record = team.get(path).json()
        assert {name: record[name] for name in preview} == preview
    assert team.get(f"/models/{model_id}").headers["ETag"] != before.headers["ETag"]
    assert team.get("/models").json()["model_list"][0]["preview_url"] == preview["preview_url"]


def test_read_picture_has_two_sizes_and_caching_headers(team: ApiCaller) -> None:
    model_id = team.register()
    url = put_preview(team, model_id, make_png(size=(1000, 1250))).json()["preview_url"]
    for size, width in ((1, 256), (2, 512)):
        answer = read_picture(team, url, size=size)
        assert answer.headers["Content-Type"] == "image/webp"
        assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert open_picture(answer.content).width == width
    unchanged = team.call("GET", url.removeprefix("/api/v1"), headers={"If-None-Match": answer.headers["ETag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_read_picture_as_png_is_the_large_one_and_stays_the_same(team: ApiCaller) -> None:
    url = put_preview(team, team.register(), make_png(size=(1000, 1250))).json()["preview_url"]
    first, second = (read_picture(team, url, format="png", size=1) for _ in range(2))
    assert first.headers["Content-Type"] == "image/png"
    assert open_picture(first.content).size == (512, 640)
    assert first.content == second.content


@pytest.mark.parametrize("query", [{"size": 0}, {"size": 3}, {"format": "svg"}])
def test_read_picture_unknown_size_or_format_returns_422(team: ApiCaller, query: dict[str, Any]) -> None:
    url = put_preview(team, team.register(), make_png()).json()["preview_url"]
    assert read_picture(team, url, **query).status_code == 422


@pytest.mark.parametrize("sha256", ["0" * 64, "x", "%2e%2e", "A" * 64])
def test_read_unknown_picture_returns_404(team: ApiCaller, sha256: str) -> None:
    answer = team.get(f"/previews/{sha256}")
    assert (answer.status_code, answer.json()["error_code"]) == (404, "preview_not_found")


@pytest.mark.parametrize("content", [SVG, HTML, b"", make_png()[:-100]], ids=["svg", "html", "empty", "truncated"])
def test_set_preview_no_picture_returns_422_and_keeps_the_old_one(team: ApiCaller, content: bytes) -> None:
    model_id = team.register()
    url = put_preview(team, model_id, make_png()).json()["preview_url"]
    answer = put_preview(team, model_id, content)
    assert (answer.status_code, answer.json()["error_code"], answer.json()["field"]) == (
        422,
        "picture_refused",
        "picture",
    )
    assert team.get(f"/models/{model_id}").json()["preview_url"] == url


def test_set_preview_of_10_mib_is_read_and_one_byte_more_returns_413(team: ApiCaller) -> None:
    model_id = team.register()
    padded = make_png() + b"\0" * (MAX_PICTURE_BYTES - len(make_png()))
    assert put_preview(team, model_id, padded).status_code == 200
    answer = put_preview(team, model_id, padded + b"\0")
    assert (answer.status_code, answer.json()["error_code"]) == (413, "body_too_large")


def test_set_preview_of_photo_removes_its_place(team: ApiCaller) -> None:
    url = put_preview(team, team.register(), make_photo_with_place()).json()["preview_url"]
    assert not open_picture(read_picture(team, url).content).getexif()


def test_set_preview_without_replace_keeps_the_first(team: ApiCaller) -> None:
    model_id = team.register()
    first = put_preview(team, model_id, make_png("#112233"), replace=False).json()
    assert put_preview(team, model_id, make_png("#445566"), replace=False).json() == first
    assert put_preview(team, model_id, make_png("#445566")).json() != first


def test_set_preview_without_replace_does_not_bring_back_a_removed_one(team: ApiCaller) -> None:
    """A push sends the picture beside a file with each version that it registers."""
    model_id = team.register()
    put_preview(team, model_id, make_png())
    team.delete(f"/models/{model_id}/versions/1/preview")
    answer = put_preview(team, model_id, make_png(), replace=False)
    assert (answer.status_code, answer.json()) == (200, {"preview_url": None, "preview_color": None})
    assert team.get(f"/models/{model_id}").json()["preview_url"] is None


def test_remove_preview_returns_204_then_404(team: ApiCaller) -> None:
    model_id = team.register()
    put_preview(team, model_id, make_png())
    assert team.delete(f"/models/{model_id}/versions/1/preview").status_code == 204
    assert team.get(f"/models/{model_id}").json()["preview_url"] is None
    answer = team.delete(f"/models/{model_id}/versions/1/preview")
    assert (answer.status_code, answer.json()["error_code"]) == (404, "preview_not_found")


@pytest.mark.parametrize("version", ["2", "0", "x", "1.0"])
def test_set_preview_of_unknown_version_returns_404(team: ApiCaller, version: str) -> None:
    model_id = team.register()
    answer = team.call("PUT", f"/models/{model_id}/versions/{version}/preview", content=make_png())
    assert (answer.status_code, answer.json()["error_code"]) == (404, "version_not_found")


def test_model_shows_preview_of_newest_version_that_has_one(team: ApiCaller) -> None:
    path = "loras/ink.safetensors"
    model_id = team.register(make_model_file("1"), path)
    first = put_preview(team, model_id, make_png("#111111")).json()["preview_url"]
    team.register(make_model_file("2"), path, replaces=model_id)

    def shown() -> str | None:
        url: str | None = team.get(f"/models/{model_id}").json()["preview_url"]
        return url

    assert shown() == first
    assert team.get(f"/models/{model_id}/versions/2").json()["preview_url"] is None
    second = put_preview(team, model_id, make_png("#222222"), 2).json()["preview_url"]
    assert shown() == second
    team.post(f"/models/{model_id}/versions/1/activate")
    assert shown() == first
    team.post(f"/models/{model_id}/versions/2/activate")
    assert shown() == second
    team.delete(f"/models/{model_id}/versions/2/preview")
    assert shown() == first
    team.delete(f"/models/{model_id}/versions/1")
    assert shown() is None
    team.post(f"/models/{model_id}/versions/1/restore")
    assert shown() == first


def test_set_preview_is_audited_once_for_each_change(team: ApiCaller) -> None:
    model_id = team.register()
    for _ in range(2):
        put_preview(team, model_id, make_png())
    team.delete(f"/models/{model_id}/versions/1/preview")
    events = team.get("/audit-events", object_id=model_id).json()["audit_event_list"]
    assert [event["action"] for event in events[:2]] == ["version.preview_removed", "version.preview_set"]
    assert events[2]["action"] in ("model.registered", "model.verified")


def test_picture_of_other_team_returns_404_also_if_it_has_the_same(shared_registry: Harness, team: ApiCaller) -> None:
    url = put_preview(team, team.register(), make_png("#0f0f0f")).json()["preview_url"]
    other = shared_registry.create_other_team()
    assert read_picture(other, url).status_code == 404
    assert put_preview(other, other.register(), make_png("#0f0f0f")).json()["preview_url"] == url
    assert read_picture(other, url).status_code == 200
    for kind in ("integration", "agent"):
        assert read_picture(shared_registry.create_key(kind, team), url).status_code == 200
    assert read_picture(shared_registry.create_key("integration"), url).status_code == 404


def test_machine_that_may_not_request_models_reads_pictures_of_its_manifest_only(
    shared_registry: Harness, team: ApiCaller
) -> None:
    team.put("/teams/current", machines_may_request=False)
    key = shared_registry.create_key("agent", team)
    labelled = team.register(path="loras/gpu24.safetensors", required_labels=["gpu24"])
    url = put_preview(team, labelled, make_png("#0a0b0c")).json()["preview_url"]
    assert read_picture(key, url).status_code == 404
    team.put(f"/models/{labelled}", required_labels=None)
    assert read_picture(key, url).status_code == 200


def test_set_preview_beyond_quota_returns_507(team: ApiCaller) -> None:
    model_id = team.register()
    team.put("/teams/current", quota_bytes=team.get("/teams/current").json()["stored_bytes"] + 10)
    answer = put_preview(team, model_id, make_png())
    assert answer.json()["error_code"] == "quota_exceeded"


def test_previews_count_as_stored_bytes_once_for_each_picture(team: ApiCaller) -> None:
    def stored() -> int:
        count: int = team.get("/teams/current").json()["stored_bytes"]
        return count

    one, two = team.register(path="loras/one.safetensors"), team.register(path="loras/two.safetensors")
    before = stored()
    url = put_preview(team, one, make_png()).json()["preview_url"]
    size = sum(len(read_picture(team, url, size=each).content) for each in (1, 2))
    assert stored() - before == size
    put_preview(team, two, make_png())
    assert stored() - before == size


def get_limiters(team: ApiCaller) -> tuple[OperationLimiter, OperationLimiter]:
    """Return the limiters of decoding and of rendering."""
    state = team.client.app.state  # type: ignore[attr-defined]  # an ASGI application
    return state.picture_limiter, state.png_limiter


@contextmanager
def busy_sandboxes(team: ApiCaller) -> Iterator[None]:
    """Keep all decoding waiting while the block runs, however long that takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder, "SLOT_SECONDS", 10 * PATIENCE_SECONDS)
        for limiter in get_limiters(team):
            patch.setattr(limiter, "_queue_seconds", 10 * PATIENCE_SECONDS)
        for _ in range(SLOTS):
            assert _FREE_SLOTS.acquire(timeout=PATIENCE_SECONDS)
        try:
            yield
        finally:
            for _ in range(SLOTS):
                _FREE_SLOTS.release()


def wait_until_running(team: ApiCaller, count: int, *, queued: int = 0) -> None:
    """Wait until so many pictures are being decoded or rendered, or wait for a sandbox, and so many for their turn."""
    limiters = get_limiters(team)
    wait_until(lambda: sum(each.places.running.total for each in limiters) == count)
    wait_until(lambda: sum(each.places.waiting.total for each in limiters) == queued)


def wait_until_held(team: ApiCaller, count: int) -> None:
    """Wait until the bodies of pictures that are held have so many bytes."""
    state = team.client.app.state  # type: ignore[attr-defined]  # an ASGI application
    wait_until(lambda: state.picture_budget.held.total == count)


def test_pictures_that_wait_are_held_in_the_budget_and_keep_no_change_of_the_team_waiting(team: ApiCaller) -> None:
    """Machines send heartbeats and people change models while a gallery's pictures wait to be decoded."""
    models = [team.register(make_model_file(word), f"loras/{word}.safetensors") for word in "abcd"]
    content = make_png()
    with ThreadPoolExecutor() as threads:
        with busy_sandboxes(team):
            waiting = [threads.submit(put_preview, team, model_id, content) for model_id in models]
            wait_until_running(team, 1, queued=3)
            wait_until_held(team, len(models) * len(content))
            assert team.put(f"/models/{models[0]}", description="meanwhile").status_code == 200
        assert {answer.result().status_code for answer in waiting} == {200}
    wait_until_held(team, 0)


def test_png_that_waits_to_be_rendered_keeps_no_read_of_the_team_waiting(team: ApiCaller) -> None:
    url = put_preview(team, team.register(), make_png("#515253")).json()["preview_url"]
    with ThreadPoolExecutor() as threads:
        with busy_sandboxes(team):
            waiting = [threads.submit(read_picture, team, url, format="png") for _ in range(3)]
            wait_until_running(team, 1, queued=2)
            assert team.get("/models").status_code == 200
            assert not any(answer.done() for answer in waiting)
        assert {answer.result().status_code for answer in waiting} == {200}


def test_set_preview_without_replace_keeps_what_was_decided_while_it_waited(
    shared_registry: Harness, team: ApiCaller
) -> None:
    model_id = team.register()
    content = make_png("#616263")
    with ThreadPoolExecutor() as threads:
        with busy_sandboxes(team):
            waiting = threads.submit(put_preview, team, model_id, content, replace=False)
            wait_until_running(team, 1)
            wait_until_held(team, len(content))
            with shared_registry.resources.database.writing(UUID(team.team_id)) as session:
                is_one = ModelVersionRow.model_id == UUID(model_id)
                session.execute(update(ModelVersionRow).where(is_one).values(preview_source="person"))
        assert waiting.result().json() == {"preview_url": None, "preview_color": None}
    assert team.get(f"/models/{model_id}").json()["preview_url"] is None


def test_picture_that_is_sent_does_not_wait_behind_those_that_machines_ask_for(team: ApiCaller) -> None:
    model_id = team.register()
    url = put_preview(team, model_id, make_png("#717273")).json()["preview_url"]
    with ThreadPoolExecutor() as threads:
        with busy_sandboxes(team):
            asked = [threads.submit(read_picture, team, url, format="png") for _ in range(5)]
            wait_until_running(team, 1, queued=4)
            sent = threads.submit(put_preview, team, team.register(path="loras/other.safetensors"), make_png("#747576"))
            wait_until_running(team, 2, queued=4)
        assert sent.result().status_code == 200
        assert {answer.result().status_code for answer in asked} == {200}


def test_pictures_that_machines_of_two_teams_ask_for_leave_a_sandbox_to_one_that_is_sent(
    shared_registry: Harness, team: ApiCaller
) -> None:
    teams = (team, shared_registry.create_other_team())
    urls = [put_preview(each, each.register(), make_png("#818283")).json()["preview_url"] for each in teams]
    keys = [shared_registry.create_key("integration", each) for each in teams]
    with ThreadPoolExecutor() as threads:
        with busy_sandboxes(team):
            asked = [threads.submit(read_picture, key, url, format="png") for key, url in zip(keys, urls, strict=True)]
            wait_until_running(team, 1, queued=1)
            sent = threads.submit(put_preview, team, team.register(path="loras/other.safetensors"), make_png("#848586"))
            wait_until_running(team, 2, queued=1)
        assert sent.result().status_code == 200
        assert {answer.result().status_code for answer in asked} == {200}


@pytest.mark.parametrize("is_png_stored", [False, True])
def test_read_picture_that_the_store_lost_returns_404(
    shared_registry: Harness, team: ApiCaller, is_png_stored: bool
) -> None:
    """A 503 would make machines ask for it for ever."""
    url = put_preview(team, team.register(), make_png(f"#91929{is_png_stored:d}")).json()["preview_url"]
    if is_png_stored:
        assert read_picture(team, url, format="png").status_code == 200
    with shared_registry.resources.database.reading() as session:
        row = session.scalars(select(PreviewRow).where(PreviewRow.sha256 == url.rsplit("/", maxsplit=1)[-1])).one()
    for key in filter(None, (row.store_key, row.png_key)):
        shared_registry.resources.store.delete(key)
    for image_format in ("png", "webp"):
        answer = read_picture(team, url, format=image_format)
        assert (answer.status_code, answer.json()["error_code"]) == (404, "preview_not_found")


def test_png_that_many_ask_for_at_once_is_not_rendered_for_each(
    shared_registry: Harness, team: ApiCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = put_preview(team, team.register(), make_png("#777879")).json()["preview_url"]
    asked: list[Future[httpx2.Response]] = []
    rendered: list[bytes] = []

    def render(webp: bytes) -> bytes:
        """Render a picture; the second time once the first PNG is stored and sent, however slow the store is."""
        rendered.append(webp)
        if len(rendered) > 1:
            wait_until(lambda: any(answer.done() for answer in asked))
        return render_png(webp)

    monkeypatch.setattr(request_decoding, "render_png", render)
    with ThreadPoolExecutor() as threads:
        with busy_sandboxes(team):
            asked += [threads.submit(read_picture, team, url, format="png") for _ in range(6)]
            wait_until_running(team, 1, queued=5)
        assert len({answer.result().content for answer in asked}) == 1
    assert len(rendered) <= 2
    with shared_registry.resources.database.reading() as session:
        unused = select(DiscardedRow.store_key).where(DiscardedRow.store_key.startswith(f"previews/{team.team_id}/"))
        # A request that begins to render while the first one stores its PNG is not told of it.
        assert len(session.scalars(unused).all()) <= 2
