"""Pictures that no version shows any more: removed with their objects, and not counted in the quota."""

from uuid import UUID

import pytest
from sqlalchemy import select, update

from modelyard.server.database.base import new_id
from modelyard.server.previews.pictures import PREVIEWS
from modelyard.server.previews.tables import PreviewRow
from tests.server.garbage.garbage_team import GarbageTeam
from tests.server.harness import make_model_file
from tests.server.previews.drawings import make_png
from tests.server.previews.test_previews import put_preview, read_picture

pytestmark = pytest.mark.slow


def list_pictures(team: GarbageTeam) -> set[str]:
    return {name for name in team.list_objects() if name.startswith(PREVIEWS)}


def get_stored_bytes(team: GarbageTeam) -> int:
    count: int = team.owner.get("/teams/current").json()["stored_bytes"]
    return count


def list_rows(team: GarbageTeam) -> int:
    with team.resources.database.reading() as session:
        return len(session.scalars(select(PreviewRow.id).where(PreviewRow.team_id == UUID(team.team_id))).all())


def test_collect_removes_picture_with_its_deleted_model(team: GarbageTeam) -> None:
    model_id = team.owner.register(make_model_file("ink"))
    url = put_preview(team.owner, model_id, make_png()).json()["preview_url"]
    read_picture(team.owner, url, format="png")
    assert len(list_pictures(team)) == 2
    team.owner.delete(f"/models/{model_id}")
    team.collect()
    team.collect()
    assert list_pictures(team) == set()
    assert list_rows(team) == 0
    assert get_stored_bytes(team) == 0
    assert read_picture(team.owner, url).status_code == 404


def test_collect_removes_replaced_and_removed_pictures(team: GarbageTeam) -> None:
    model_id = team.owner.register(make_model_file("ink"))
    without = get_stored_bytes(team)
    put_preview(team.owner, model_id, make_png("#111111"))
    second = put_preview(team.owner, model_id, make_png("#222222")).json()["preview_url"]
    team.collect(is_thorough=False)
    assert len(list_pictures(team)) == list_rows(team) == 1
    assert read_picture(team.owner, second).status_code == 200
    team.owner.delete(f"/models/{model_id}/versions/1/preview")
    team.collect(is_thorough=False)
    assert list_pictures(team) == set()
    assert get_stored_bytes(team) == without


def test_collect_removes_picture_of_purged_version_and_keeps_the_record_right(team: GarbageTeam) -> None:
    path = "loras/ink.safetensors"
    model_id = team.owner.register(make_model_file("1"), path)
    put_preview(team.owner, model_id, make_png())
    team.owner.register(make_model_file("2"), path, replaces=model_id)
    assert team.owner.get(f"/models/{model_id}").json()["preview_url"] is not None
    team.owner.delete(f"/models/{model_id}/versions/1")
    team.collect()
    team.collect()
    assert team.owner.get(f"/models/{model_id}").json()["preview_url"] is None
    assert list_pictures(team) == set()


def test_collect_keeps_picture_that_another_model_shows(team: GarbageTeam) -> None:
    one, two = (team.owner.register(make_model_file(name), f"loras/{name}.safetensors") for name in ("1", "2"))
    for model_id in (one, two):
        url = put_preview(team.owner, model_id, make_png()).json()["preview_url"]
    team.owner.delete(f"/models/{one}")
    team.collect()
    team.collect()
    assert read_picture(team.owner, url).status_code == 200


def test_collect_picture_that_is_used_again_within_the_grace_stays(team: GarbageTeam) -> None:
    model_id = team.owner.register(make_model_file("ink"))
    put_preview(team.owner, model_id, make_png())
    team.owner.delete(f"/models/{model_id}/versions/1/preview")
    url = put_preview(team.owner, model_id, make_png()).json()["preview_url"]
    team.collect()
    assert read_picture(team.owner, url).status_code == 200


def test_collect_dry_run_counts_pictures_and_removes_nothing(team: GarbageTeam) -> None:
    model_id = team.owner.register(make_model_file("ink"))
    put_preview(team.owner, model_id, make_png())
    team.owner.delete(f"/models/{model_id}/versions/1/preview")
    before = list_pictures(team)
    assert team.collect(is_dry=True).files == 1
    assert list_pictures(team) == before
    assert list_rows(team) == 1


def test_collect_keeps_stock_picture_to_know_it(team: GarbageTeam) -> None:
    model_id = team.owner.register(make_model_file("ink"))
    put_preview(team.owner, model_id, make_png())
    with team.resources.database.writing(UUID(team.team_id)) as session:
        stock = update(PreviewRow).where(PreviewRow.team_id == UUID(team.team_id)).values(is_stock=True)
        session.execute(stock.execution_options(synchronize_session=False))
    team.owner.delete(f"/models/{model_id}/versions/1/preview")
    team.collect()
    assert len(list_pictures(team)) == 1


def test_collect_object_without_a_row_is_kept_and_counted(team: GarbageTeam) -> None:
    """As after a restore of an older copy of the database."""
    key = f"{PREVIEWS}{team.team_id}/{new_id()}"
    team.resources.store.put(key, b"a picture")
    assert team.collect().unknown_files >= 1
    assert key in list_pictures(team)
