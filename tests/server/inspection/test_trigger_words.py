"""Trigger words, training tags and details of a training, as trainers write them into a file.

Writers: MS the model specification; HF diffusers' DreamBooth scripts; AT AI Toolkit `BaseSDTrainProcess.py`; KO
sd-scripts `train_network.py` (tags are counted once a caption, lower-cased, without repeats); OT OneTrainer.
"""

import json
from math import nan
from typing import Any

import pytest

from modelyard.server.inspection.description.training_metadata import parse_training_metadata
from modelyard.server.inspection.metadata import ModelMetadata
from tests.server.inspection.builders import build_kohya_lora, build_peft_lora, inspect_header

LORA = build_kohya_lora("input_blocks.4.1.transformer_blocks.0.attn2.to_k", size=(2048, 640))


def inspect(**metadata: Any) -> ModelMetadata:
    """Inspect a LoRA with this metadata; what is no text is written as JSON, and ``__`` stands for a dot."""
    texts = {
        name.replace("__", "."): value if isinstance(value, str) else json.dumps(value)
        for name, value in metadata.items()
    }
    return inspect_header(LORA, texts)


def build_sets(folder: str = "10_images", images: int = 48, **tags: int) -> dict[str, Any]:
    """Build KO's tables of one folder, whose tags are written with ``_`` for spaces."""
    return {
        "ss_tag_frequency": {folder: {tag.replace("_", " "): count for tag, count in tags.items()}},
        "ss_dataset_dirs": {folder: {"n_repeats": 10, "img_count": images}},
        "ss_num_train_images": str(10 * images),
    }


KO_DATASETS = [
    {
        "is_dreambooth": True,
        "num_train_images": 480,
        "subsets": [
            {"img_count": 48, "num_repeats": 10, "class_tokens": "inkwsh", "image_dir": "pictures", "is_reg": False},
            {"img_count": 90, "num_repeats": 1, "class_tokens": "drawing", "image_dir": "others", "is_reg": True},
        ],
        "tag_frequency": {"pictures": {"ink wash": 47}, "others": {"plain": 90}},
    }
]
CASES: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "MS declared phrase": ({"modelspec__trigger_phrase": "inkwsh, ink wash"}, ["inkwsh", "ink wash"], "file"),
    "HF instance prompt": ({"instance_prompt": "a photo of inkwsh"}, ["a photo of inkwsh"], "file"),
    "MS phrase before all others": (
        {"modelspec__trigger_phrase": "inkwsh"} | build_sets("10_sumi", ink=48), ["inkwsh"], "file",
    ),
    "AT single tag": ({"ss_tag_frequency": {"1_inkwsh": {"inkwsh": 1}}}, ["inkwsh"], "file"),
    "KO class words of ss_datasets, without regularisation": ({"ss_datasets": KO_DATASETS}, ["inkwsh"], "folder"),
    "KO class words of ss_datasets with the mean of no numbers": (
        {"ss_datasets": [KO_DATASETS[0] | {"bucket_info": {"mean_img_ar_error": nan}}]}, ["inkwsh"], "folder",
    ),
    "KO folder name": (build_sets("10_inkwsh drawing", ink=48), ["inkwsh drawing"], "folder"),
    "KO folder name that says nothing": (build_sets("10_images", inkwsh=46, ink_wash=20), ["inkwsh"], "guess"),
    "KO folder names of a regularisation set": (
        build_sets("10_images", solo=48) | {"ss_reg_dataset_dirs": {"1_woman drawing": {"img_count": 5}}}, [], "",
    ),
    "KO tags of nearly all pictures, three at most": (
        build_sets(a_b=48, c_d=47, e_f=46, g_h=45, i_j=20), ["a b", "c d", "e f"], "guess",
    ),
    "KO tags below nine tenths": (build_sets(ink_wash=43), [], ""),
    "KO tags that describe pictures": (build_sets(solo=48, masterpiece=48, best_quality=48), [], ""),
    "KO share without repeats: 24 of 48 pictures": (build_sets(ink_wash=24), [], ""),
    "KO captions": (
        build_sets(a_photo_of_an_ink_drawing_of_a_river=48, another_long_caption_of_a_tree=48), [], "",
    ),
    "KO set of three pictures": (build_sets(images=3, ink=3), [], ""),
    "nothing": ({}, [], ""),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_trigger_words_are_those_of_the_first_source(case: tuple[dict[str, Any], list[str], str]) -> None:
    metadata, words, source = case
    assert inspect(**metadata).trigger_words == [{"text": word, "source": source} for word in words]


@pytest.mark.parametrize("name", ["img", "images", "dataset 2", "train_data", "512", "training-images", "Photos"])
def test_generic_folder_names_are_no_trigger_words(name: str) -> None:
    assert inspect(**build_sets(f"10_{name}", ink=1)).trigger_words == []


def test_training_tags_have_shares_of_all_pictures_most_frequent_first() -> None:
    tables = {
        "ss_tag_frequency": {"10_a": {"ink wash": 30, "solo": 10}, "5_b": {"solo": 15}, "1_reg": {"plain": 99}},
        "ss_dataset_dirs": {"10_a": {"img_count": 30}, "5_b": {"img_count": 20}, "1_reg": {"img_count": 99}},
        "ss_reg_dataset_dirs": {"1_reg": {"n_repeats": 1, "img_count": 99}},
    }
    assert inspect(**tables).training_tags == [{"text": "ink wash", "share": 0.6}, {"text": "solo", "share": 0.5}]


def test_training_tags_of_a_set_of_unknown_size_are_left_out() -> None:
    assert inspect(ss_tag_frequency={"10_a": {"ink": 30}}).training_tags == []


def test_frequent_tags_are_neither_tags_nor_trigger_words() -> None:
    found = inspect(modelspec__trigger_phrase="inkwsh", modelspec__tags="ink", **build_sets(river=40, tree=30))
    assert (found.tags, [word["text"] for word in found.trigger_words]) == (["ink"], ["inkwsh"])


def test_details_of_a_kohya_training() -> None:
    found = inspect(
        modelspec__author="Ada Lovelace",
        modelspec__license="CC-BY-4.0",
        modelspec__usage_hint="Strength 0.8",
        modelspec__prediction_type="epsilon",
        ss_resolution="(1024, 768)",
        ss_network_module="networks.lora",
        ss_network_dim="32",
        ss_network_alpha="16.0",
        ss_steps="2400",
        ss_sd_scripts_commit_hash="48d368fa",
        **build_sets(images=48, ink=1),
    )
    assert found.details == {
        "author": "Ada Lovelace",
        "license": "CC-BY-4.0",
        "usage_hint": "Strength 0.8",
        "resolution": "1024x768",
        "network": "LoRA",
        "rank": "32",
        "alpha": "16.0",
        "prediction_type": "epsilon",
        "trainer": "sd-scripts",
        "image_count": 48,
        "steps": 2400,
    }


def test_details_of_an_ai_toolkit_training_have_the_rank_of_the_tensors() -> None:
    metadata = {
        "software": json.dumps({"name": "ai-toolkit", "repo": "https://github.com/ostris/ai-toolkit"}),
        "training_info": json.dumps({"step": 3000, "epoch": 12}),
    }
    found = inspect_header(build_peft_lora("transformer_blocks.0.norm1.linear", size=(3072, 9216)), metadata)
    assert found.details == {"network": "LoRA", "rank": "16", "trainer": "ai-toolkit", "steps": 3000}


def test_details_of_lycoris_name_the_algorithm() -> None:
    found = inspect(ss_network_module="lycoris.kohya", ss_network_args={"algo": "loha", "preset": "full"})
    assert found.details["network"] == "LoHa"


def test_author_that_onetrainer_copies_from_sdxl_is_left_out() -> None:
    found = inspect(
        modelspec__title="Stable Diffusion XL 1.0 Base LoRA",
        modelspec__author="StabilityAI",
        modelspec__license="CreativeML Open RAIL++-M License",
        ot_revision="23df3832",
    )
    assert found.details == {"network": "LoRA", "rank": "16", "trainer": "OneTrainer"}


@pytest.mark.parametrize("key", ["v_pred", "ztsnr"])
def test_tensors_of_v_prediction_are_a_detail(key: str) -> None:
    assert inspect_header({key: (0,)}).details == {"prediction_type": "v"}


def test_ten_thousand_tags_are_inspected_in_a_sandbox_and_cut_to_50() -> None:
    tags = {f"tag {number:>06} {'x' * 4}": 10_001 - number for number in range(10_000)}
    found = inspect(ss_tag_frequency={"1_a": tags}, ss_dataset_dirs={"1_a": {"img_count": 20_000}})
    assert len(found.training_tags) == 50
    assert found.training_tags[0] == {"text": "tag 000000 xxxx", "share": 0.5}


@pytest.mark.parametrize(
    "text",
    [
        "x" * 1_000_000,
        "<script>alert(1)</script>",
        "👩🏽‍🎨 ink",
        "حبر مائي",
        "\u202eknil",
        "a\x00b\nc",
        " , ,",
        "\\",
        '"',
    ],
)
def test_hostile_words_are_short_single_lines_everywhere(text: str) -> None:
    metadata = {
        "modelspec.trigger_phrase": text,
        "modelspec.author": text,
        "ss_tag_frequency": json.dumps({f"1_{text}": {text: 30}}),
        "ss_dataset_dirs": json.dumps({f"1_{text}": {"img_count": 30}}),
        "ss_resolution": text,
        "ss_steps": text,
        "software": text,
    }
    found = parse_training_metadata(metadata)
    texts = [word["text"] for word in found.trigger_words] + [tag["text"] for tag in found.training_tags]
    for each in [*texts, *map(str, found.details.values())]:
        assert 1 <= len(each) <= 200
        assert not {*each} & {"\x00", "\n", "\u202e"}


@pytest.mark.parametrize("word", ["512" * 30, "img" * 33, "image data " * 9, "_" * 99, "1 2 3 " * 16])
def test_generic_names_are_recognised_without_backtracking(word: str) -> None:
    assert inspect(**build_sets(f"10_{word}", ink=1)).trigger_words == []
