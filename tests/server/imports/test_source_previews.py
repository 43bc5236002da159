"""The preview of an imported version, from its source."""

from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from modelyard.server.imports.tables import ImportRow
from modelyard.wire.formats import MAX_PICTURE_BYTES
from tests.server.imports.calls import list_actions, start
from tests.server.imports.fake_sources import FakeSources
from tests.server.imports.stopped import Stopped
from tests.server.previews.drawings import make_png

pytestmark = pytest.mark.slow

CIVITAI = "/models/111"
HUGGINGFACE = "/studio/ink/blob/main/ink.safetensors"


def import_model(stopped: Stopped, url: str, **changed: Any) -> dict[str, Any]:
    """Import a link, and return the record of its model."""
    owner = stopped.owner
    import_id = start(owner, url, **changed)
    assert stopped.create_importer().import_next() is True
    done = owner.get(f"/imports/{import_id}").json()
    return dict(owner.get(f"/models/{done['model_id']}").json())


@pytest.fixture
def picture(fakes: FakeSources) -> str:
    """The address of a picture in the storage."""
    fakes.storage.pictures["/picture.png"] = make_png()
    return f"{fakes.storage.server.address}/picture.png"


@pytest.fixture
def images(fakes: FakeSources, picture: str) -> list[dict[str, Any]]:
    """The images of Civitai's version: the first that is allowed is the third."""
    images: list[dict[str, Any]] = [
        {"url": f"{picture}?video", "type": "video", "nsfwLevel": 1},
        {"url": f"{picture}?mature", "type": "image", "nsfwLevel": 8},
        {"url": picture, "type": "image", "nsfwLevel": 2},
    ]
    fakes.civitai.version["images"] = images
    return images


def test_import_civitai_first_allowed_picture_becomes_the_preview(
    stopped: Stopped, fakes: FakeSources, images: list[dict[str, Any]]
) -> None:
    model = import_model(stopped, fakes.civitai_url + CIVITAI)
    owner = stopped.owner
    assert owner.get(model["preview_url"].removeprefix("/api/v1")).status_code == 200
    assert "version.preview_set" in list_actions(owner)
    asked = [path for path, _ in fakes.storage.server.requests if "picture" in path]
    assert asked == ["/picture.png"]


def test_import_civitai_without_allowed_picture_has_no_preview(
    stopped: Stopped, fakes: FakeSources, images: list[dict[str, Any]]
) -> None:
    del images[2]
    assert import_model(stopped, fakes.civitai_url + CIVITAI)["preview_url"] is None


@pytest.mark.parametrize("thumbnail", ["art/ink.png", "address"])
def test_import_huggingface_thumbnail_of_the_card_becomes_the_preview(
    stopped: Stopped, fakes: FakeSources, thumbnail: str
) -> None:
    fakes.huggingface.files["art/ink.png"] = make_png()
    address = f"{fakes.huggingface_url}/studio/ink/resolve/main/art/ink.png"
    fakes.huggingface.card["thumbnail"] = address if thumbnail == "address" else thumbnail
    assert import_model(stopped, fakes.huggingface_url + HUGGINGFACE)["preview_url"] is not None


@pytest.mark.parametrize("thumbnail", [None, 5, "elsewhere", "../ink.png", "https://art.example/ink.png", "x" * 2000])
def test_import_huggingface_without_thumbnail_of_the_repository_has_no_preview(
    stopped: Stopped, fakes: FakeSources, picture: str, thumbnail: object
) -> None:
    fakes.huggingface.card["thumbnail"] = picture if thumbnail == "elsewhere" else thumbnail
    assert import_model(stopped, fakes.huggingface_url + HUGGINGFACE)["preview_url"] is None
    assert [path for path, _ in fakes.storage.server.requests if "picture" in path] == []


@pytest.mark.parametrize(
    ("content", "url"),
    [
        (b"<svg/>", None),
        (b"\x89PNG" + b"x" * MAX_PICTURE_BYTES, None),
        (b"", "http://169.254.169.254/picture.png"),
        (b"", "not an address"),
    ],
    ids=["no picture", "too large", "address of a metadata service", "no address"],
)
def test_import_picture_that_cannot_be_used_does_not_fail_the_import(
    stopped: Stopped, fakes: FakeSources, images: list[dict[str, Any]], content: bytes, url: str | None
) -> None:
    fakes.storage.pictures["/picture.png"] = content
    images[2]["url"] = url or images[2]["url"]
    assert import_model(stopped, fakes.civitai_url + CIVITAI)["preview_url"] is None


def test_import_next_version_keeps_the_picture_of_a_person(
    stopped: Stopped, fakes: FakeSources, images: list[dict[str, Any]]
) -> None:
    owner = stopped.owner
    model = import_model(stopped, fakes.huggingface_url + HUGGINGFACE)
    owner.wait_until_verified(model["id"])
    set_own = owner.call("PUT", f"/models/{model['id']}/versions/1/preview", content=make_png("#ff0000"))
    own = set_own.json()["preview_url"]
    model_path, model_type = model["model_path"].removeprefix("models/"), model["model_type"]
    changed = {"replaces": model["id"], "model_path": model_path, "model_type": model_type}
    again = import_model(stopped, fakes.civitai_url + CIVITAI, **changed)
    assert again["id"] == model["id"]
    assert again["preview_url"] == own
    assert [path for path, _ in fakes.storage.server.requests if "picture" in path] == []


def test_cancel_import_while_its_picture_is_fetched_returns_409(
    stopped: Stopped, fakes: FakeSources, images: list[dict[str, Any]]
) -> None:
    owner, answers = stopped.owner, list[httpx2.Response]()
    import_id = start(owner, fakes.civitai_url + CIVITAI)

    def cancel_and_respond(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/picture.png":
            answers.append(owner.post(f"/imports/{import_id}/cancel"))
        fakes.storage.respond(handler)

    fakes.route_storage(cancel_and_respond)
    assert stopped.create_importer().import_next() is True
    assert [each.status_code for each in answers] == [409]
    done = owner.get(f"/imports/{import_id}").json()
    assert done["import_state"] == "done"
    assert owner.get(f"/models/{done['model_id']}").json()["preview_url"] is not None


def test_cancel_import_that_is_registered_and_not_recorded_as_done_returns_409(
    stopped: Stopped, fakes: FakeSources
) -> None:
    owner = stopped.owner
    import_id = start(owner, fakes.huggingface_url + HUGGINGFACE)
    assert stopped.create_importer().import_next() is True
    model_id = owner.get(f"/imports/{import_id}").json()["model_id"]
    # As a process leaves it that is killed between the two transactions.
    with stopped.resources.database.writing() as session:
        session.execute(update(ImportRow).values(import_state="running", model_id=None, finished_at=None))
    refused = owner.post(f"/imports/{import_id}/cancel")
    assert (refused.status_code, refused.json()["error_code"]) == (409, "import_finished")
    assert stopped.create_importer().import_next() is True
    done = owner.get(f"/imports/{import_id}").json()
    assert (done["import_state"], done["model_id"]) == ("done", model_id)
