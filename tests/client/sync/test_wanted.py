from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.client.sync.wanted import MOST_ENTRIES, WantedList, read_wanted
from modelyard.wire.agents import WantedModel
from tests.client.sync.making import NOW, model, sha256_of, wanted


def reason_of(found: WantedList) -> str:
    assert found.models == ()
    (unfit,) = found.unfit
    return unfit.reason


def test_an_entry_becomes_what_a_machine_needs() -> None:
    (found,) = wanted(model("models/unet/flux/dev.safetensors", "bytes", keep=True)).models
    assert (found.model_path, found.model_type, found.folder) == (
        "unet/flux/dev.safetensors",
        "diffusion_models",
        "unet",
    )
    assert (found.name, found.sha256, found.keep) == ("flux/dev.safetensors", sha256_of("bytes"), True)


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("loras", "loras/../custom_nodes/x.pt"),
        ("loras", "/loras/x.safetensors"),
        ("loras", "loras\\x.safetensors"),
        ("loras", "loras//x.safetensors"),
        ("loras", "loras/.hidden.safetensors"),
        ("loras", "loras/CON.safetensors"),
        ("loras", "loras/com1.x.safetensors"),
        ("loras", "loras/x.safetensors "),
        ("loras", "loras/x.safetensors\n"),
        ("loras", "loras/x\0.safetensors"),
        ("loras", "loras/x:y.safetensors"),
        ("loras", "loras/e\u0301.safetensors"),
        ("loras", "vae/x.safetensors"),
        ("loras", "x.safetensors"),
        ("loras", ""),
        ("custom_nodes", "custom_nodes/x.safetensors"),
        ("Custom_Nodes", "Custom_Nodes/x.safetensors"),
        ("configs", "configs/x.safetensors"),
        ("..", "../x.safetensors"),
        ("loras", "loras/" + "x" * 130 + ".safetensors"),
        ("loras", "loras/a/b/c/d/e/f/g/h.safetensors"),
    ],
)
def test_a_path_that_is_unsafe_here_is_refused_in_words(kind: str, path: str) -> None:
    reason = reason_of(wanted(model(path, "x", model_type=kind)))
    assert reason.startswith("The path is refused: ")
    assert reason.isprintable()


@pytest.mark.parametrize("path", ["loras/__init__.py", "loras/x.safetensors.py", "loras/run.sh", "loras/x"])
def test_what_is_no_model_file_is_never_placed(path: str) -> None:
    assert "does not end like a model file" in reason_of(wanted(model(path)))


@pytest.mark.parametrize("size", [0, -1, 17 * 1024**4, 2**63 - 1, 2**200])
def test_an_absurd_size_is_refused(size: int) -> None:
    assert f"{size} bytes" in reason_of(wanted(model("loras/x.pt", file_size=size)))


@pytest.mark.parametrize(
    "digest",
    ["", "sha256:", "sha256:../../etc/passwd", "md5:" + "a" * 32, "sha256:" + "A" * 64, "sha256:" + "a" * 64 + "\n"],
)
def test_a_hash_that_is_none_is_refused(digest: str) -> None:
    assert "no SHA-256" in reason_of(wanted(model("loras/x.pt", file_hash=digest)))


def test_what_a_terminal_would_obey_is_not_repeated() -> None:
    (unfit,) = wanted(model("loras/\x1b[2J\u202e.pt", "x", file_hash="\x1b[31m")).unfit
    assert unfit.model_path.isprintable()
    assert unfit.reason.isprintable()


def test_two_models_for_one_file_are_both_refused() -> None:
    found = wanted(model("loras/Ink.safetensors"), model("loras/ink.safetensors"), model("loras/other.pt"))
    assert [entry.model_path for entry in found.models] == ["loras/other.pt"]
    assert [entry.model_path for entry in found.unfit] == ["loras/Ink.safetensors", "loras/ink.safetensors"]
    assert all("one file for 2 models" in entry.reason for entry in found.unfit)


def test_the_two_folders_of_one_type_are_one_place() -> None:
    found = wanted(model("unet/x.safetensors"), model("diffusion_models/x.safetensors"))
    assert found.models == ()


def test_one_model_with_two_facts_is_refused() -> None:
    first = model("loras/x.pt", "one")
    found = wanted(first, model("loras/x.pt", "two"))
    assert found.models == ()
    assert {entry.id for entry in found.unfit} == {first.id}
    assert all("more than once" in entry.reason for entry in found.unfit)


def test_the_same_entry_twice_is_one() -> None:
    assert len(wanted(model("loras/x.pt"), model("loras/x.pt")).models) == 1


def test_a_file_cannot_be_a_folder_of_another() -> None:
    found = wanted(model("loras/a.pt"), model("loras/a.pt/b/c.pt"))
    assert [entry.model_path for entry in found.models] == ["loras/a.pt"]
    assert "'loras/a.pt' is a file" in found.unfit[0].reason


def test_the_newest_is_wanted_most_and_of_one_time_the_smallest() -> None:
    earlier = NOW - timedelta(days=1)
    found = wanted(
        model("loras/old.pt", updated_at=earlier),
        model("loras/big.pt", file_size=100),
        model("loras/small.pt", file_size=10),
    )
    assert [entry.name for entry in found.models] == ["small.pt", "big.pt", "old.pt"]


def test_times_that_no_clock_has_are_sorted_all_the_same() -> None:
    found = wanted(
        model("loras/a.pt", updated_at=datetime(1, 1, 1)),  # noqa: DTZ001 a registry may leave the zone out
        model("loras/b.pt", updated_at=datetime(9999, 12, 31, 23, tzinfo=UTC)),
    )
    assert [entry.name for entry in found.models] == ["b.pt", "a.pt"]


def test_an_empty_manifest_wants_nothing() -> None:
    assert wanted() == WantedList()


def test_more_models_than_any_machine_holds_are_refused_one_by_one() -> None:
    beyond = [model(f"loras/{number}.pt") for number in range(3)]
    found = read_wanted([model("loras/x.pt")] * MOST_ENTRIES + beyond)
    assert [entry.model_path for entry in found.models] == ["loras/x.pt"]
    assert [entry.id for entry in found.unfit] == [entry.id for entry in beyond]
    assert all(f"more than {MOST_ENTRIES} models" in entry.reason for entry in found.unfit)


@given(
    st.lists(
        st.builds(
            model,
            st.text(max_size=40) | st.from_regex(r"(loras|unet|Loras)/[aAbB.]{1,3}\.pt", fullmatch=True),
            st.sampled_from(["one", "two"]),
            file_size=st.integers() | st.just(3),
            model_type=st.text(max_size=9) | st.sampled_from(["loras", "unet", "diffusion_models"]),
        ),
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
def test_whatever_a_registry_says_is_sorted_into_safe_and_refused(models: list[WantedModel], random: Random) -> None:
    found = read_wanted(models)
    assert {entry.id for entry in found.models} | {entry.id for entry in found.unfit} == {entry.id for entry in models}
    assert len({entry.key for entry in found.models}) == len(found.models)
    shuffled = list(models)
    random.shuffle(shuffled)
    assert read_wanted(shuffled) == found
