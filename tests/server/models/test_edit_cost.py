"""What an edit of a model writes while it holds the team's lock."""

from uuid import UUID

import pytest

from modelyard.server.models.operations import update_model
from modelyard.wire.models import ModelUpdate
from tests.server.models.model_factory import ModelSpec, TeamModels
from tests.server.query_plans import record_writes
from tests.server.watched_database import WatchedDatabase

TAGS = [f"tag {number}" for number in range(64)]


@pytest.fixture
def model_id(team_models: TeamModels) -> UUID:
    [model_id] = team_models.insert([ModelSpec("ink", tags=tuple(TAGS))])
    return model_id


def edit(team: TeamModels, model_id: UUID, **change: object) -> list[str]:
    """Edit a model, and return the statements of that."""
    body = ModelUpdate.model_validate(change)
    database = WatchedDatabase(team.database)
    update_model(database.as_database(), team.team, model_id, body, None)
    [statements] = database.written
    return statements


WORDS = [f"{number} " + "brush " * 30 for number in range(50)]
NEWER = {"label": "v2", "url": "https://example.com/v2", "checked_at": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    "change",
    [
        {"tags": [f"new {tag}" for tag in TAGS], "trigger_words": WORDS},
        {"source_url": "https://example.com/ink", "trigger_words": WORDS},
    ],
    ids=" and ".join,
)
def test_edit_of_a_model_with_newer_at_source_updates_its_row_once(
    team_models: TeamModels, change: dict[str, object]
) -> None:
    [model_id] = team_models.insert([ModelSpec("ink", tags=tuple(TAGS), columns={"newer_at_source": NEWER})])
    statements = edit(team_models, model_id, **change)
    assert len([each for each in statements if each.startswith("UPDATE models ")]) == 1


def test_edit_of_one_tag_writes_the_rows_of_this_tag_only(team_models: TeamModels, model_id: UUID) -> None:
    with record_writes(team_models.database.engine, "model_tags") as writes:
        edit(team_models, model_id, tags=[*TAGS[1:], "new"])
        assert writes == [1, 1]
        edit(team_models, model_id, tags=[*reversed(TAGS[1:]), "new"])
    assert writes == [1, 1]
    found = [team_models.list_names(tag=tag) for tag in ("new", "tag 0", "tag 1")]
    assert found == [["ink"], [], ["ink"]]
