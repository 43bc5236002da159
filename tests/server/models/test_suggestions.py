"""Suggestions for searches that find nothing."""

import pytest

from tests.server.harness import ApiCaller, Harness, make_model_file


@pytest.fixture(scope="module")
def named_team(shared_registry: Harness) -> ApiCaller:
    """Return a team with two models, which no test changes."""
    team = shared_registry.create_team()
    for path, name, tags in (
        ("loras/watercolour.safetensors", "Watercolour wash", ["portrait", "old one"]),
        ("vae/größe.safetensors", "Größe 2", []),
    ):
        team.register(make_model_file(path), path, display_name=name, tags=tags)
    return team


@pytest.mark.parametrize(
    ("filters", "suggestion"),
    [
        ({"model_type": "lora"}, "type:loras"),
        ({"model_type": "LoRAs", "q": "wash"}, "type:loras wash"),
        ({"model_type": "lora", "q": " ".join(["wash"] * 23)}, " ".join(["type:loras"] + ["wash"] * 23)),
        ({"model_type": "lora", "q": " ".join(["wash"] * 24)}, None),
        ({"model_type": "lora", "q": "größe"}, None),
        ({"model_type": "lora", "q": "type:vae"}, None),
        ({"model_type": "lora", "q": "-type:vae"}, "type:loras -type:vae"),
        ({"model_type": "checkpoint"}, None),
        ({"model_type": "checkpoints"}, None),
        ({"model_type": "our_masks"}, None),
    ],
)
def test_list_models_of_a_near_miss_of_a_type_suggests_the_search_with_the_known_type(
    named_team: ApiCaller, filters: dict[str, str], suggestion: str | None
) -> None:
    listed = named_team.get("/models", **filters).json()
    assert (listed["model_list"], listed.get("did_you_mean")) == ([], suggestion)


@pytest.mark.parametrize(
    ("q", "suggestion"),
    [
        ("watercolor", "watercolour"),
        ("waterclour type:loras", "watercolour type:loras"),
        ("type:loras potrait", "type:loras portrait"),
        ("grösze", "grösse"),
        ("tag:portait", "tag:portrait"),
        ("tag:old", 'tag:"old one"'),
        ("type:lorsa wash", "type:loras wash"),
        ("type:vea", "type:vae"),
        ("type:unte", None),
        ("watercolor type:vae", None),
        ("-portrait watercolor", None),
        ("zzzyzx", None),
        ("%%%%", None),
        ("x" * 1000, None),
    ],
)
def test_list_models_search_that_finds_nothing_suggests_one_that_does(
    named_team: ApiCaller, q: str, suggestion: str | None
) -> None:
    listed = named_team.get("/models", q=q).json()
    assert listed["model_list"] == []
    assert listed.get("did_you_mean") == suggestion
    if suggestion:
        assert named_team.get("/models", q=suggestion).json()["model_list"] != []


@pytest.mark.parametrize("query", [{"q": "wash"}, {}, {"model_type": "loras"}, {"q": "watercolor", "current_page": 2}])
def test_list_models_other_lists_suggest_nothing(named_team: ApiCaller, query: dict[str, str]) -> None:
    assert named_team.get("/models", **query).json().get("did_you_mean") is None
