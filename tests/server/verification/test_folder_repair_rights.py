"""Who may repair folders that failed before they were verified as a whole."""

import pytest

from tests.server.harness import ApiCaller
from tests.server.models.folders.folder_push import download, make_folder, upload
from tests.server.verification.test_folders import WEIGHTS, get_store_key, push, register
from tests.server.verification.test_repair_rights import check_refused
from tests.server.verification.test_scrub import flip_last_bit, replace_stored_object, scrub
from tests.server.verification.unverified_team import UnverifiedTeam

pytestmark = pytest.mark.slow

FILES = make_folder()
PATH = "diffusers/sdxl"


@pytest.fixture
def member(unverified: UnverifiedTeam) -> ApiCaller:
    """A member who has registered nothing."""
    return unverified.registry.create_member("member", unverified.owner)


@pytest.fixture
def damaged(unverified: UnverifiedTeam) -> str:
    """A folder of which a verified file was damaged before the others were verified."""
    unverified.register(FILES[WEIGHTS], "loras/ink.safetensors")
    unverified.verify_all()
    stored = upload(unverified.owner, FILES[WEIGHTS], WEIGHTS, PATH)
    keys = [
        {"path": name, "storage_key": stored if name == WEIGHTS else unverified.send(content)}
        for name, content in FILES.items()
    ]
    model_id = register(unverified, FILES, file_list=keys)
    replace_stored_object(unverified.resources, get_store_key(unverified, model_id, WEIGHTS), None)
    unverified.age(8)
    scrub(unverified)
    unverified.verify_all()
    assert unverified.model(model_id)["verification_error"].startswith(f"'{WEIGHTS}': ")
    return model_id


@pytest.fixture
def wrong(unverified: UnverifiedTeam) -> str:
    """A folder of which a file has other bytes than its hash says."""
    keys = [
        {"path": name, "storage_key": unverified.send(flip_last_bit(content) if name == WEIGHTS else content)}
        for name, content in FILES.items()
    ]
    model_id = register(unverified, FILES, file_list=keys)
    unverified.verify_all()
    assert unverified.state(model_id) == "failed"
    return model_id


def test_push_folder_with_damaged_file_of_someone_else_again_repairs_it(
    unverified: UnverifiedTeam, member: ApiCaller, damaged: str
) -> None:
    assert push(unverified, member, FILES, PATH, keeps_name=True).status_code == 200
    unverified.verify_all()
    assert download(unverified.owner, damaged) == FILES


def test_push_damaged_file_of_a_folder_elsewhere_repairs_the_folder(
    unverified: UnverifiedTeam, member: ApiCaller, damaged: str
) -> None:
    unverified.register(FILES[WEIGHTS], "loras/other.safetensors", owner=member)
    unverified.verify_all()
    assert download(unverified.owner, damaged) == FILES


def test_push_folder_with_wrong_file_of_someone_else_again_returns_403(
    unverified: UnverifiedTeam, member: ApiCaller, wrong: str
) -> None:
    check_refused(push(unverified, member, FILES, PATH, keeps_name=True))
    unverified.verify_all()
    assert unverified.state(wrong) == "failed"


def test_push_content_of_wrong_file_of_a_folder_elsewhere_repairs_no_folder(
    unverified: UnverifiedTeam, member: ApiCaller, wrong: str
) -> None:
    unverified.register(FILES[WEIGHTS], "loras/other.safetensors", owner=member)
    unverified.verify_all()
    assert unverified.state(wrong) == "failed"
