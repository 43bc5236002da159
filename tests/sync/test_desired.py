from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.sync.desired import MAX_ENTRIES, DesiredState, build_desired_state
from modelyard.wire.agents.manifests import ManifestEntry
from tests.sync.factories import NOW, build_desired, build_entry, hash_text

pytestmark = pytest.mark.slow


def get_only_rejection_reason(found: DesiredState) -> str:
    assert found.models == ()
    (unfit,) = found.rejected
    return unfit.reason


def test_desired_state_valid_entry_becomes_desired_model() -> None:
    (found,) = build_desired(build_entry("models/unet/flux/dev.safetensors", "bytes", keep=True, version=3)).models
    assert (found.model_path, found.model_type, found.folder) == (
        "unet/flux/dev.safetensors",
        "diffusion_models",
        "unet",
    )
    assert (found.name, found.sha256, found.is_damaged) == ("flux/dev.safetensors", hash_text("bytes"), True)
    assert found.version == 3


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
def test_desired_state_unsafe_path_is_rejected_with_reason(kind: str, path: str) -> None:
    reason = get_only_rejection_reason(build_desired(build_entry(path, "x", model_type=kind)))
    assert reason.startswith("The path is invalid: ")
    assert reason.isprintable()


@pytest.mark.parametrize("path", ["loras/__init__.py", "loras/x.safetensors.py", "loras/run.sh", "loras/x"])
def test_desired_state_other_file_extension_is_rejected(path: str) -> None:
    assert "does not have the extension of a model file" in get_only_rejection_reason(build_desired(build_entry(path)))


@pytest.mark.parametrize("version", [0, -1, 10**9, 2**64])
def test_desired_state_impossible_version_is_rejected_without_version(version: int) -> None:
    found = build_desired(build_entry("loras/x.pt", version=version))
    assert "version" in get_only_rejection_reason(found)
    assert found.rejected[0].version is None


@pytest.mark.parametrize("size", [0, -1, 17 * 1024**4, 2**63 - 1, 2**200])
def test_desired_state_impossible_size_is_rejected(size: int) -> None:
    assert f"{size} bytes" in get_only_rejection_reason(build_desired(build_entry("loras/x.pt", file_size=size)))


@pytest.mark.parametrize(
    "digest",
    ["", "sha256:", "sha256:../../etc/passwd", "md5:" + "a" * 32, "sha256:" + "A" * 64, "sha256:" + "a" * 64 + "\n"],
)
def test_desired_state_invalid_hash_is_rejected(digest: str) -> None:
    assert "not a SHA-256" in get_only_rejection_reason(build_desired(build_entry("loras/x.pt", file_hash=digest)))


def test_desired_state_control_characters_are_escaped_in_reasons() -> None:
    (unfit,) = build_desired(build_entry("loras/\x1b[2J\u202e.pt", "x", file_hash="\x1b[31m")).rejected
    assert unfit.model_path.isprintable()
    assert unfit.reason.isprintable()


def test_desired_state_two_models_with_one_path_are_both_rejected() -> None:
    found = build_desired(
        build_entry("loras/Ink.safetensors"), build_entry("loras/ink.safetensors"), build_entry("loras/other.pt")
    )
    assert [entry.model_path for entry in found.models] == ["loras/other.pt"]
    assert [entry.model_path for entry in found.rejected] == ["loras/Ink.safetensors", "loras/ink.safetensors"]
    assert all("one path for 2 models" in entry.reason for entry in found.rejected)


def test_desired_state_sibling_folders_of_one_type_share_a_path() -> None:
    found = build_desired(build_entry("unet/x.safetensors"), build_entry("diffusion_models/x.safetensors"))
    assert found.models == ()


def test_desired_state_model_with_two_contents_is_rejected() -> None:
    first = build_entry("loras/x.pt", "one")
    found = build_desired(first, build_entry("loras/x.pt", "two"))
    assert found.models == ()
    assert {entry.id for entry in found.rejected} == {first.id}
    assert all("more than once" in entry.reason for entry in found.rejected)


def test_desired_state_duplicate_entry_counts_once() -> None:
    assert len(build_desired(build_entry("loras/x.pt"), build_entry("loras/x.pt")).models) == 1


def test_desired_state_file_as_folder_of_other_model_is_rejected() -> None:
    found = build_desired(build_entry("loras/a.pt"), build_entry("loras/a.pt/b/c.pt"))
    assert [entry.model_path for entry in found.models] == ["loras/a.pt"]
    assert "'loras/a.pt' is a file" in found.rejected[0].reason


def test_desired_state_is_sorted_by_latest_change_then_size() -> None:
    earlier = NOW - timedelta(days=1)
    found = build_desired(
        build_entry("loras/old.pt", updated_at=earlier),
        build_entry("loras/big.pt", file_size=100),
        build_entry("loras/small.pt", file_size=10),
    )
    assert [entry.name for entry in found.models] == ["small.pt", "big.pt", "old.pt"]


def test_desired_state_extreme_times_are_sorted() -> None:
    found = build_desired(
        build_entry("loras/a.pt", updated_at=datetime(1, 1, 1)),  # noqa: DTZ001 a registry may leave the zone out
        build_entry("loras/b.pt", updated_at=datetime(9999, 12, 31, 23, tzinfo=UTC)),
    )
    assert [entry.name for entry in found.models] == ["b.pt", "a.pt"]


def test_desired_state_empty_manifest_has_no_models() -> None:
    assert build_desired() == DesiredState()


def test_desired_state_entries_beyond_limit_are_rejected() -> None:
    beyond = [build_entry(f"loras/{number}.pt") for number in range(3)]
    found = build_desired_state([build_entry("loras/x.pt")] * MAX_ENTRIES + beyond)
    assert [entry.model_path for entry in found.models] == ["loras/x.pt"]
    assert [entry.id for entry in found.rejected] == [entry.id for entry in beyond]
    assert all(f"more than {MAX_ENTRIES} models" in entry.reason for entry in found.rejected)


@given(
    st.lists(
        st.builds(
            build_entry,
            st.text(max_size=40) | st.from_regex(r"(loras|unet|Loras)/[aAbB.]{1,3}\.pt", fullmatch=True),
            st.sampled_from(["one", "two"]),
            file_size=st.integers() | st.just(3),
            model_type=st.text(max_size=9) | st.sampled_from(["loras", "unet", "diffusion_models"]),
        ),
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
def test_desired_state_any_entries_are_accepted_or_rejected(models: list[ManifestEntry], random: Random) -> None:
    found = build_desired_state(models)
    assert {entry.id for entry in found.models} | {entry.id for entry in found.rejected} == {
        entry.id for entry in models
    }
    assert len({entry.key for entry in found.models}) == len(found.models)
    shuffled = list(models)
    random.shuffle(shuffled)
    assert build_desired_state(shuffled) == found
