"""What a model is: base model and trigger words, from a person or from the file."""

import pytest

from tests.server.harness import ApiCaller, make_model_file
from tests.server.inspection.builders import build_header_reader, build_kohya_lora, build_named_tensors

CONTENT = make_model_file()
LORA = build_named_tensors(
    "lora_unet_x.lora_down.weight",
    "lora_te2_x.lora_down.weight",
    metadata={"modelspec.trigger_phrase": "inkwash, sumi"},
)


def test_register_with_declared_trigger_words_returns_them_as_the_files(team: ApiCaller) -> None:
    record = team.get(f"/models/{team.register(LORA)}").json()
    assert record["trigger_words"] == [{"text": "inkwash", "source": "file"}, {"text": "sumi", "source": "file"}]


def test_register_without_metadata_returns_nothing_for_unknown(team: ApiCaller) -> None:
    record = team.get(f"/models/{team.register(CONTENT)}").json()
    assert (record["base_model"], record["base_source"]) == (None, None)
    assert (record["trigger_words"], record["training_tags"]) == ([], [])
    assert set(record["details"].values()) == {None}


def test_change_base_model_and_trigger_words_takes_precedence_until_null(team: ApiCaller) -> None:
    model_id = team.register(LORA)
    before = team.get(f"/models/{model_id}").json()
    assert team.put(f"/models/{model_id}", base_model="Pony", trigger_words=["ink wash", "ink wash"]).status_code == 200
    changed = team.get(f"/models/{model_id}").json()
    assert (changed["base_model"], changed["base_source"]) == ("Pony", "person")
    assert changed["trigger_words"] == [{"text": "ink wash", "source": "person"}]
    assert changed["metadata"] == before["metadata"]
    assert team.put(f"/models/{model_id}", base_model=None, trigger_words=None).status_code == 200
    after = team.get(f"/models/{model_id}").json()
    assert {name for name in after if after[name] != before[name]} == {"updated_at"}


def test_change_trigger_words_to_an_empty_list_says_that_there_are_none(team: ApiCaller) -> None:
    model_id = team.register(LORA)
    assert team.put(f"/models/{model_id}", trigger_words=[]).status_code == 200
    emptied = team.get(f"/models/{model_id}").json()
    assert (emptied["trigger_words"], emptied["has_own_trigger_words"]) == ([], True)
    assert team.put(f"/models/{model_id}", trigger_words=None).status_code == 200
    assert team.get(f"/models/{model_id}").json()["has_own_trigger_words"] is False


def test_change_details_is_audited_as_change_of_the_model(team: ApiCaller) -> None:
    model_id = team.register(LORA)
    team.put(f"/models/{model_id}", base_model="Pony")
    [event] = team.get("/audit-events", action="model.changed").json()["audit_event_list"]
    assert (event["object_id"], event["facts"]["base_model"]) == (model_id, "Pony")


def test_register_with_details_of_a_person_returns_them(team: ApiCaller) -> None:
    record = team.get(f"/models/{team.register(LORA, base_model='Pony', trigger_words=['sumi'])}").json()
    assert (record["base_model"], record["base_source"]) == ("Pony", "person")
    assert record["trigger_words"] == [{"text": "sumi", "source": "person"}]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base_model", ""),
        ("base_model", "x" * 101),
        ("base_model", 7),
        ("base_model", "a\nb"),
        ("license", "x" * 201),
        ("author", "x" * 201),
        ("author", "a\nb"),
        ("trigger_words", ["x"] * 51),
        ("trigger_words", ["x" * 501]),
        ("trigger_words", ["\u200b"]),
        ("trigger_words", "inkwash"),
    ],
)
def test_change_to_invalid_details_returns_422_with_the_field(team: ApiCaller, field: str, value: object) -> None:
    refused = team.put(f"/models/{team.register(CONTENT)}", **{field: value})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"].startswith(field)


def test_lists_return_details_without_training_tags(team: ApiCaller) -> None:
    team.register(LORA, base_model="Pony")
    [listed] = team.get("/models").json()["model_list"]
    assert (listed["base_model"], listed["training_tags"]) == ("Pony", [])
    assert [word["text"] for word in listed["trigger_words"]] == ["inkwash", "sumi"]


SIGNED = build_named_tensors(
    "lora_unet_x.lora_down.weight", metadata={"modelspec.license": "CC-BY-4.0", "modelspec.author": "Ada Lovelace"}
)
FACTS = ("license", "license_source", "author", "author_source")


def get_facts(team: ApiCaller, model_id: str) -> tuple[str | None, ...]:
    record = team.get(f"/models/{model_id}").json()
    return tuple(record[name] for name in FACTS)


@pytest.mark.parametrize(
    ("content", "sidecar", "expected"),
    [
        (SIGNED, None, ("CC-BY-4.0", "file", "Ada Lovelace", "file")),
        (SIGNED, {"license": "MIT", "author": "mia"}, ("CC-BY-4.0", "file", "Ada Lovelace", "file")),
        (LORA, {"license": " MIT\n", "author": "mia"}, ("MIT", "sidecar", "mia", "sidecar")),
        (LORA, {"license": " ", "base_model": "Pony"}, (None, None, None, None)),
        (LORA, None, (None, None, None, None)),
    ],
    ids=["file", "file and sidecar", "sidecar", "empty sidecar", "nothing"],
)
def test_register_license_and_author_are_those_of_the_file_or_else_of_the_sidecar(
    team: ApiCaller, content: bytes, sidecar: dict[str, str] | None, expected: tuple[str | None, ...]
) -> None:
    assert get_facts(team, team.register(content, sidecar=sidecar)) == expected


def test_change_license_and_author_takes_precedence_in_all_versions_until_null(team: ApiCaller) -> None:
    model_id = team.register(SIGNED)
    assert team.put(f"/models/{model_id}", license="ours", author="Mia").status_code == 200
    own = ("ours", "person", "Mia", "person")
    assert get_facts(team, model_id) == own
    team.register(LORA, replaces=model_id, sidecar={"license": "MIT", "author": "mia"})
    assert get_facts(team, model_id) == own
    assert team.put(f"/models/{model_id}", license=None, author=None).status_code == 200
    assert get_facts(team, model_id) == ("MIT", "sidecar", "mia", "sidecar")
    assert team.post(f"/models/{model_id}/versions/1/activate").status_code == 200
    assert get_facts(team, model_id) == ("CC-BY-4.0", "file", "Ada Lovelace", "file")


def test_register_license_and_author_of_a_person_take_precedence(team: ApiCaller) -> None:
    assert get_facts(team, team.register(SIGNED, license="ours", author="Mia")) == ("ours", "person", "Mia", "person")


def test_search_by_license_finds_that_of_the_file_until_a_person_enters_another(team: ApiCaller) -> None:
    model_id = team.register(SIGNED)
    for q, is_found in (("license:cc-by-4.0", True), ("license:ours", False)):
        assert [model["id"] for model in team.get("/models", q=q).json()["model_list"]] == [model_id] * is_found
    team.put(f"/models/{model_id}", license="ours")
    for q, is_found in (("license:cc-by-4.0", False), ("license:ours", True)):
        assert [model["id"] for model in team.get("/models", q=q).json()["model_list"]] == [model_id] * is_found


SDXL = build_kohya_lora("input_blocks.4.1.transformer_blocks.0.attn2.to_k", size=(2048, 640))


def build_lora(tensors: dict[str, tuple[int, ...]] = SDXL, **metadata: str) -> bytes:
    """Build a whole LoRA file; ``__`` in the names of entries stands for a dot."""
    reader = build_header_reader(tensors, {name.replace("__", "."): text for name, text in metadata.items()} or None)
    return reader.head.ljust(reader.size, b"\0")


def get_base(team: ApiCaller, model_id: str) -> tuple[str | None, str | None]:
    record = team.get(f"/models/{model_id}").json()
    return record["base_model"], record["base_source"]


def get_words(team: ApiCaller, model_id: str) -> list[tuple[str, str]]:
    return [(word["text"], word["source"]) for word in team.get(f"/models/{model_id}").json()["trigger_words"]]


@pytest.mark.parametrize(
    ("path", "base", "source"),
    [
        ("loras/inkwash_pony_v2.safetensors", "Pony", "file_name"),
        ("loras/inkwash-illustriousXL.safetensors", "Illustrious", "file_name"),
        ("loras/inkwash NoobAI.safetensors", "NoobAI", "file_name"),
        ("loras/my_little_pony_style.safetensors", "SDXL 1.0", "tensors"),
        ("loras/pony/inkwash.safetensors", "SDXL 1.0", "tensors"),
        ("loras/flux_dev_style.safetensors", "SDXL 1.0", "tensors"),
    ],
)
def test_file_name_refines_what_the_tensors_show(team: ApiCaller, path: str, base: str, source: str) -> None:
    assert get_base(team, team.register(build_lora(), path)) == (base, source)


def test_change_path_refines_by_the_new_name(team: ApiCaller) -> None:
    model_id = team.register(build_lora(), "loras/ink.safetensors")
    team.put(f"/models/{model_id}", model_path="loras/ink_pony.safetensors")
    assert get_base(team, model_id) == ("Pony", "file_name")


def test_metadata_takes_precedence_over_the_file_name(team: ApiCaller) -> None:
    content = build_lora(ss_sd_model_name="Illustrious-XL-v0.1.safetensors")
    assert get_base(team, team.register(content, "loras/ink_pony.safetensors")) == ("Illustrious", "metadata")


def test_sidecar_takes_precedence_over_metadata_and_class_words(team: ApiCaller) -> None:
    content = build_lora(
        ss_sd_model_name="Illustrious-XL.safetensors", ss_tag_frequency='{"10_inkwsh": {"ink wash": 3}}'
    )
    sidecar = {"base_model": "Pony", "trigger_words": ["sumi", "sumi", "  "]}
    model_id = team.register(content, sidecar=sidecar)
    assert get_base(team, model_id) == ("Pony", "sidecar")
    assert get_words(team, model_id) == [("sumi", "sidecar")]


def test_declared_phrase_takes_precedence_over_a_sidecar(team: ApiCaller) -> None:
    content = build_lora(modelspec__trigger_phrase="inkwsh")
    assert get_words(team, team.register(content, sidecar={"trigger_words": ["sumi"]})) == [("inkwsh", "file")]


@pytest.mark.parametrize(
    ("content", "sidecar"),
    [(build_lora(ss_sd_model_name="sd_xl_base_1.0.safetensors"), None), (build_lora(), {"base_model": "SDXL 1.0"})],
    ids=["metadata", "sidecar"],
)
def test_claim_of_what_the_tensors_show_leaves_them_as_the_source(
    team: ApiCaller, content: bytes, sidecar: dict[str, str] | None
) -> None:
    # The claim is exact, so that the file name does not refine it.
    model_id = team.register(content, "loras/ink_pony.safetensors", sidecar=sidecar)
    assert get_base(team, model_id) == ("SDXL 1.0", "tensors")


def test_sidecar_that_contradicts_the_tensors_is_ignored(team: ApiCaller) -> None:
    assert get_base(team, team.register(build_lora(), sidecar={"base_model": "Flux.1 D"})) == ("SDXL 1.0", "tensors")


@pytest.mark.parametrize(("declared", "base"), [("SDXL 1.0", "SDXL 1.0"), ("sdxl 1.0", "SDXL 1.0"), ("New 5", "New 5")])
def test_sidecar_tells_the_base_of_a_file_whose_tensors_show_none(team: ApiCaller, declared: str, base: str) -> None:
    assert get_base(team, team.register(CONTENT, sidecar={"base_model": declared})) == (base, "sidecar")


@pytest.mark.parametrize("declared", ["", "Other", "\u200b"])
def test_sidecar_without_a_base_leaves_it_unknown(team: ApiCaller, declared: str) -> None:
    assert get_base(team, team.register(CONTENT, sidecar={"base_model": declared})) == (None, None)


def test_register_again_with_a_sidecar_sets_it(team: ApiCaller) -> None:
    model_id = team.register(build_lora(), "loras/ink.safetensors")
    assert team.register(build_lora(), "loras/ink.safetensors", sidecar={"base_model": "Pony"}) == model_id
    assert get_base(team, model_id) == ("Pony", "sidecar")


def test_sidecar_belongs_to_its_version(team: ApiCaller) -> None:
    model_id = team.register(build_lora(), "loras/ink.safetensors", sidecar={"base_model": "Pony"})
    other = build_lora(modelspec__title="two")
    team.register(other, "loras/ink.safetensors", replaces=model_id)
    assert get_base(team, model_id) == ("SDXL 1.0", "tensors")
    assert team.post(f"/models/{model_id}/versions/1/activate").status_code == 200
    assert get_base(team, model_id) == ("Pony", "sidecar")


def test_persons_values_cover_later_versions(team: ApiCaller) -> None:
    model_id = team.register(build_lora(), "loras/ink.safetensors")
    team.put(f"/models/{model_id}", base_model="NoobAI", trigger_words=["sumi"])
    team.register(build_lora(modelspec__title="two"), "loras/ink.safetensors", replaces=model_id)
    assert (get_base(team, model_id), get_words(team, model_id)) == (("NoobAI", "person"), [("sumi", "person")])


def test_hostile_sidecar_is_cleaned_and_cut(team: ApiCaller) -> None:
    words = ["<b>x</b>", "a\x00b", "\u202eknil", "x" * 5_000, *(f"word {number}" for number in range(150))]
    found = get_words(team, team.register(CONTENT, sidecar={"trigger_words": words, "base_model": "x" * 5_000}))
    assert [text for text, _ in found[:3]] == ["<b>x</b>", "ab", "knil"]
    assert (len(found), max(len(text) for text, _ in found)) == (50, 100)


def test_record_has_training_tags_and_details(team: ApiCaller) -> None:
    content = build_lora(
        ss_tag_frequency='{"10_images": {"ink wash": 24}}', ss_dataset_dirs='{"10_images": {"img_count": 48}}'
    )
    record = team.get(f"/models/{team.register(content)}").json()
    assert record["training_tags"] == [{"text": "ink wash", "share": 0.5}]
    assert (record["details"]["image_count"], record["details"]["rank"]) == (48, "16")
    assert not {"details", "training_tags", "base_families"} & record["metadata"].keys()
