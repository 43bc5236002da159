"""Pictures in the headers of model files: found, ignored, refused."""

import base64
import hashlib
import json
import logging
import struct
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from modelyard.server.database.base import now
from modelyard.server.models.tables import ModelVersionRow
from modelyard.server.previews import decoder, embedded
from modelyard.server.previews.extraction import BUSY_PAUSE, RETRY_PAUSE, PreviewExtractor
from modelyard.server.previews.metrics import PreviewMetrics
from modelyard.server.previews.pictures import PictureStorage, read_png
from modelyard.server.previews.stock import STOCK_MODELS
from modelyard.server.previews.tables import PreviewRow
from modelyard.server.uploads.tables import DiscardedRow
from modelyard.wire.formats import MAX_EMBEDDED_BYTES
from tests.server.previews.drawings import HTML, SVG, make_bomb, make_photo_with_place, make_png, open_picture
from tests.server.previews.test_previews import put_preview, read_picture
from tests.server.verification.faulty_store import FaultyStore
from tests.server.verification.unverified_team import UnverifiedTeam

pytestmark = pytest.mark.slow


def make_model_with(metadata: dict[str, str], word: str = "ink") -> bytes:
    """Return a safetensors file with this metadata and one tensor."""
    tensor = {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]}
    header = json.dumps({"__metadata__": metadata, word: tensor}).encode()
    return struct.pack("<Q", len(header)) + header + b"12345678"


def build_data_uri(picture: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(picture).decode()}"


def make_model_with_thumbnail(picture: bytes, word: str = "ink", media_type: str = "image/png") -> bytes:
    return make_model_with({"modelspec.thumbnail": build_data_uri(picture, media_type)}, word)


def extract(unverified: UnverifiedTeam) -> dict[str, float]:
    """Verify what is uploaded and search all files; return how many of each result there were."""
    unverified.verify_all()
    counter = unverified.metrics.preview_searches
    before = {found: counter.labels(found)._value.get() for found in ("file", "none", "stock", "failed")}
    extractor = PreviewExtractor(unverified.resources.database, unverified.resources.store, unverified.metrics)
    while extractor.extract_next():
        pass
    assert not extractor.is_due()
    counted = {found: counter.labels(found)._value.get() - value for found, value in before.items()}
    return {found: count for found, count in counted.items() if count}


def test_picture_on_which_the_sandbox_fails_is_searched_again_after_an_hour(
    unverified: UnverifiedTeam, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    model_id = register(unverified, make_model_with_thumbnail(make_png()))
    broken_sandbox: pytest.MonkeyPatch = request.getfixturevalue("broken_sandbox")
    with caplog.at_level(logging.ERROR, "modelyard.sandbox"):
        assert extract(unverified) == {"failed": 1}
    version = get_version_row(unverified, model_id)
    assert version.preview_retry_at is not None
    assert version.preview_retry_at - now() > BUSY_PAUSE
    [record] = [one for one in caplog.records if one.name == "modelyard.sandbox"]
    assert record.__dict__["blob"] == str(version.blob_id)
    broken_sandbox.undo()
    expire_pause(unverified)
    assert extract(unverified) == {"file": 1}


def register(unverified: UnverifiedTeam, content: bytes, name: str = "ink", **changed: Any) -> str:
    path = f"loras/{name}.safetensors"
    return unverified.owner.register(content, path, storage_key=unverified.send(content), **changed)


def get_team_id(unverified: UnverifiedTeam) -> UUID:
    return UUID(unverified.owner.get("/teams/current").json()["id"])


def get_version_row(unverified: UnverifiedTeam, model_id: str) -> ModelVersionRow:
    with unverified.resources.database.reading() as session:
        return session.get_one(ModelVersionRow, (UUID(model_id), 1))


def expire_pause(unverified: UnverifiedTeam) -> None:
    with unverified.resources.database.writing(get_team_id(unverified)) as session:
        of_team = ModelVersionRow.team_id == get_team_id(unverified)
        session.execute(update(ModelVersionRow).where(of_team).values(preview_retry_at=now() - timedelta(seconds=1)))


def get_model(unverified: UnverifiedTeam, model_id: str) -> dict[str, Any]:
    found: dict[str, Any] = unverified.owner.get(f"/models/{model_id}").json()
    return found


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg", "application/octet-stream"])
def test_thumbnail_in_file_becomes_preview(unverified: UnverifiedTeam, media_type: str) -> None:
    """sd-scripts writes any file that it is given, possibly as application/octet-stream."""
    content = make_model_with_thumbnail(make_png("#aa5500"), media_type, media_type)
    model_id = register(unverified, content)
    assert extract(unverified) == {"file": 1}
    model = get_model(unverified, model_id)
    red, green, blue = (int(model["preview_color"][start : start + 2], 16) for start in (1, 3, 5))
    assert red > green > blue
    assert open_picture(read_picture(unverified.owner, model["preview_url"]).content).format == "WEBP"


def test_cover_images_in_file_become_preview_first_that_can_be_read(unverified: UnverifiedTeam) -> None:
    covers = ["nonsense", base64.b64encode(HTML).decode(), base64.b64encode(make_png("#00aa00")).decode()]
    model_id = register(unverified, make_model_with({"ssmd_cover_images": json.dumps(covers)}))
    assert extract(unverified) == {"file": 1}
    assert get_model(unverified, model_id)["preview_url"] is not None


def test_photo_in_file_loses_its_place(unverified: UnverifiedTeam) -> None:
    model_id = register(unverified, make_model_with_thumbnail(make_photo_with_place()))
    extract(unverified)
    stored = read_picture(unverified.owner, get_model(unverified, model_id)["preview_url"]).content
    assert not open_picture(stored).getexif()
    assert b"ecret" not in stored


@pytest.mark.parametrize(
    ("metadata", "found"),
    [
        ({}, "none"),
        ({"modelspec.thumbnail": ""}, "none"),
        ({"modelspec.thumbnail": "data:image/png;base64,"}, "none"),
        ({"modelspec.thumbnail": "https://models.example/a.png"}, "none"),
        ({"modelspec.thumbnail": build_data_uri(HTML, "text/html")}, "failed"),
        ({"modelspec.thumbnail": build_data_uri(SVG, "image/svg+xml")}, "failed"),
        ({"modelspec.thumbnail": build_data_uri(make_png()[:-150])}, "failed"),
        ({"modelspec.thumbnail": build_data_uri(make_bomb())}, "failed"),
        ({"modelspec.thumbnail": build_data_uri(make_png() + bytes(MAX_EMBEDDED_BYTES))}, "none"),
        ({"ssmd_cover_images": "[" * 5_000}, "none"),
        ({"ssmd_cover_images": '{"a": 1}'}, "none"),
        ({"ssmd_cover_images": "[null, 5, []]"}, "none"),
    ],
    ids=[
        *("nothing", "empty", "empty uri", "url", "html", "svg", "truncated", "bomb", "above 4 MiB"),
        *("deep list", "no list", "list of no texts"),
    ],
)
def test_file_without_usable_picture_is_verified_and_has_no_preview(
    unverified: UnverifiedTeam, metadata: dict[str, str], found: str
) -> None:
    model_id = register(unverified, make_model_with(metadata))
    assert extract(unverified) == {found: 1}
    model = get_model(unverified, model_id)
    assert (model["verification"], model["preview_url"]) == ("verified", None)


def test_preview_of_a_person_is_not_replaced_by_that_in_the_file(unverified: UnverifiedTeam) -> None:
    model_id = register(unverified, make_model_with_thumbnail(make_png("#aa5500")))
    unverified.verify_all()
    own = put_preview(unverified.owner, model_id, make_png("#0000aa")).json()["preview_url"]
    extract(unverified)
    assert get_model(unverified, model_id)["preview_url"] == own


def test_picture_of_the_file_that_a_person_sets_is_theirs(unverified: UnverifiedTeam) -> None:
    """It stays if many files turn out to have it."""
    picture = make_png("#aa5500")
    model_id = register(unverified, make_model_with_thumbnail(picture))
    extract(unverified)
    before = get_model(unverified, model_id)["preview_url"]
    for _ in range(2):
        assert put_preview(unverified.owner, model_id, picture).json()["preview_url"] == before
    assert get_version_row(unverified, model_id).preview_source == "person"
    assert unverified.events(model_id).count("version.preview_set") == 1


def test_removed_preview_does_not_come_back(unverified: UnverifiedTeam) -> None:
    model_id = register(unverified, make_model_with_thumbnail(make_png("#aa5500")))
    extract(unverified)
    assert unverified.owner.delete(f"/models/{model_id}/versions/1/preview").status_code == 204
    assert extract(unverified) == {}
    assert get_model(unverified, model_id)["preview_url"] is None


def test_iterate_pictures_leaves_out_stock_pictures() -> None:
    """The picture of OneTrainer is not ours to copy, so its hash is complete, and a picture of ours is the example."""
    assert all(len(sha256) == 64 for sha256 in embedded.STOCK_PICTURES)
    header = json.dumps({"__metadata__": {"modelspec.thumbnail": build_data_uri(b"a stock picture")}}).encode()
    assert list(embedded.iterate_pictures(header)) == [b"a stock picture"]
    stock = frozenset({hashlib.sha256(b"a stock picture").hexdigest()})
    assert list(embedded.iterate_pictures(header, stock)) == []


def test_thumbnail_of_five_models_is_stock_and_removed_from_all(unverified: UnverifiedTeam) -> None:
    stock = make_png("#777777")
    models = [
        register(unverified, make_model_with_thumbnail(stock, str(number)), str(number))
        for number in range(STOCK_MODELS - 1)
    ]
    assert extract(unverified) == {"file": STOCK_MODELS - 1}
    url = get_model(unverified, models[0])["preview_url"]
    # One that was set by hand stays.
    put_preview(unverified.owner, models[0], make_png("#123123"))
    assert put_preview(unverified.owner, models[0], stock).json()["preview_url"] == url
    models.append(register(unverified, make_model_with_thumbnail(stock, "four"), "four"))
    assert extract(unverified) == {"file": 1}
    models.append(register(unverified, make_model_with_thumbnail(stock, "five"), "five"))
    assert extract(unverified) == {"stock": 1}
    assert [get_model(unverified, model_id)["preview_url"] for model_id in models] == [url, *[None] * STOCK_MODELS]
    models.append(register(unverified, make_model_with_thumbnail(stock, "six"), "six"))
    assert extract(unverified) == {"stock": 1}


def test_versions_of_one_model_may_share_a_thumbnail(unverified: UnverifiedTeam) -> None:
    picture = make_png("#779977")
    model_id = register(unverified, make_model_with_thumbnail(picture, "0"))
    unverified.verify_all()
    for number in range(1, STOCK_MODELS + 1):
        register(unverified, make_model_with_thumbnail(picture, str(number)), replaces=model_id)
        unverified.verify_all()
    assert extract(unverified) == {"file": STOCK_MODELS + 1}


def test_content_that_is_registered_again_gets_its_preview_again(unverified: UnverifiedTeam) -> None:
    content = make_model_with_thumbnail(make_png("#aa5500"))
    register(unverified, content)
    extract(unverified)
    second = register(unverified, content, "second")
    assert extract(unverified) == {"file": 1}
    assert get_model(unverified, second)["preview_url"] is not None


def test_missing_file_is_postponed_and_does_not_stop_others(unverified: UnverifiedTeam) -> None:
    lost = register(unverified, make_model_with_thumbnail(make_png("#aa5500"), "lost"), "lost")
    unverified.verify_all()
    unverified.resources.store.delete(unverified.blob(lost).store_key)
    kept = register(unverified, make_model_with_thumbnail(make_png("#0055aa"), "kept"), "kept")
    assert extract(unverified) == {"failed": 1, "file": 1}
    assert get_model(unverified, kept)["preview_url"] is not None
    assert extract(unverified) == {}, "a new process does not try again at once either"
    version = get_version_row(unverified, lost)
    assert (version.preview_source, get_version_row(unverified, kept).preview_source) == (None, "file")
    assert version.preview_retry_at is not None
    assert version.preview_retry_at > now() + RETRY_PAUSE / 2
    expire_pause(unverified)
    assert extract(unverified) == {"failed": 1}
    # Other teams of this registry would count it.
    with unverified.resources.database.writing(get_team_id(unverified)) as session:
        of_team = ModelVersionRow.team_id == get_team_id(unverified)
        session.execute(update(ModelVersionRow).where(of_team).values(preview_source="none"))


def test_full_store_postpones_the_search_and_marks_no_object(faulty: UnverifiedTeam) -> None:
    """Tried every two seconds, each attempt with a row of its own, a full disk got 43,000 rows a day."""
    store = faulty.resources.store
    assert isinstance(store, FaultyStore)
    model_id = register(faulty, make_model_with_thumbnail(make_png("#aa5500")))
    faulty.verify_all()
    store.is_full = True
    assert extract(faulty) == {"failed": 1}
    assert extract(faulty) == {}
    with faulty.resources.database.reading() as session:
        marks = session.scalars(select(DiscardedRow.store_key).where(DiscardedRow.store_key.startswith("previews/")))
        assert marks.all() == []
    store.is_full = False
    expire_pause(faulty)
    assert extract(faulty) == {"file": 1}
    assert get_version_row(faulty, model_id).preview_retry_at is None


def test_busy_sandbox_postpones_the_search_for_a_minute(
    unverified: UnverifiedTeam, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_id = register(unverified, make_model_with_thumbnail(make_png("#aa5500")))
    unverified.verify_all()
    monkeypatch.setattr(decoder, "SLOT_SECONDS", 0.01)
    with decoder._FREE_SLOTS, decoder._FREE_SLOTS:
        assert extract(unverified) == {"failed": 1}
    retry_at = get_version_row(unverified, model_id).preview_retry_at
    assert retry_at is not None
    assert retry_at <= now() + BUSY_PAUSE
    expire_pause(unverified)
    assert extract(unverified) == {"file": 1}


def test_versions_of_a_batch_are_recorded_in_one_change_of_the_team(unverified: UnverifiedTeam) -> None:
    """Each change makes the lists and manifests of a team be built anew."""
    colors = {"one": "#110000", "two": "#002200", "three": "#000033"}
    for word, color in colors.items():
        register(unverified, make_model_with_thumbnail(make_png(color), word), word)
    unverified.verify_all()
    team_id = get_team_id(unverified)
    changes: list[set[object]] = []
    with unverified.resources.database.subscribe(changes.append):
        assert extract(unverified) == {"file": 3}
    assert sum(team_id in announced for announced in changes) == 1


def test_same_picture_in_files_of_a_batch_is_stored_once(unverified: UnverifiedTeam) -> None:
    for word in ("one", "two"):
        register(unverified, make_model_with_thumbnail(make_png("#a1b2c3"), word), word)
    assert extract(unverified) == {"file": 2}
    assert len(list(unverified.resources.store.list_keys(f"previews/{get_team_id(unverified)}/"))) == 1


def test_metrics_show_length_and_age_of_the_queue(unverified: UnverifiedTeam) -> None:
    extract(unverified)
    register(unverified, make_model_with({}, "waiting"))
    unverified.verify_all()

    def collect() -> dict[str, float]:
        families = PreviewMetrics(unverified.resources.database).collect()
        return {family.name: family.samples[0].value for family in families}

    waiting = collect()
    assert waiting["modelyard_unsearched_previews"] == 1
    assert waiting["modelyard_oldest_unsearched_preview_seconds"] >= 0
    extract(unverified)
    assert set(collect().values()) == {0}


def test_full_store_serves_a_png_all_the_same_and_marks_no_object(faulty: UnverifiedTeam) -> None:
    store = faulty.resources.store
    assert isinstance(store, FaultyStore)
    register(faulty, make_model_with_thumbnail(make_png("#aa5500")))
    assert extract(faulty) == {"file": 1}
    with faulty.resources.database.reading() as session:
        row = session.scalars(select(PreviewRow)).one()
    storage = PictureStorage(faulty.resources.database, store, faulty.resources.settings)
    store.is_full = True
    assert read_png(storage, row, b"a PNG") == b"a PNG"
    with faulty.resources.database.reading() as session:
        assert (
            session.scalar(select(DiscardedRow.store_key).where(DiscardedRow.store_key.startswith("previews/"))) is None
        )
        assert session.scalars(select(PreviewRow.png_key)).one() is None
