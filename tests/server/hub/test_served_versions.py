"""Which versions the Hugging Face endpoint serves: only those whose content is verified."""

from sqlalchemy import update

from modelyard.server.identity.state import Identity
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.resources import Resources, open_resources
from modelyard.server.settings import Settings
from tests.server.conftest import CHEAP
from tests.server.environments import PATIENT
from tests.server.harness import Harness, make_model_file
from tests.server.hub.test_endpoint import NAME, PATH, ask, get_revision


def set_verification(resources: Resources, state: str) -> None:
    """Set the state of all versions, as verification or a damaged object does."""
    with resources.database.writing() as session:
        session.execute(update(ModelVersionRow).values(verification=state))
        session.execute(update(ModelRow).values(verification=state))


def test_version_that_is_not_verified_is_not_served(settings: Settings) -> None:
    with open_resources(settings, Identity(CHEAP), PATIENT) as resources, Harness(resources) as registry:
        registry.owner.register(make_model_file(), PATH)
        revision = get_revision(registry.owner)
        for state in ("pending", "failed"):
            set_verification(resources, state)
            for path in (f"{NAME}/resolve/main/ink.safetensors", f"{NAME}/resolve/{revision}/ink.safetensors"):
                assert ask(registry.owner, path).headers["X-Error-Code"] == "RevisionNotFound"
