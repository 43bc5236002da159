"""Which file ComfyUI loads under a name that exists in several roots of a key."""

from dataclasses import replace
from pathlib import Path

from modelyard.sync.inventory.roots import RootOnDisk
from tests.sync.factories import DISK, MODELS, SimulatedDisk, build_entry, build_install, hash_text


def test_plan_model_is_placed_in_type_folder_of_its_path() -> None:
    for folder in ("unet", "diffusion_models"):
        (fetch,) = SimulatedDisk().plan(build_entry(f"{folder}/x.pt")).fetch
        assert fetch.target.path == MODELS / folder / "x.pt"


def build_root(key: str, path: str) -> RootOnDisk:
    return RootOnDisk(key, Path(path), Path(path), Path(path) / ".modelyard", DISK, 1)


def test_choose_root_first_configured_folder_is_default() -> None:
    disk = SimulatedDisk((build_root("checkpoints", "/webui/Stable-diffusion"), *build_install()))
    (fetch,) = disk.plan(build_entry("checkpoints/x.ckpt")).fetch
    assert fetch.target.path == Path("/webui/Stable-diffusion/x.ckpt")


def test_choose_root_sibling_default_folders_are_chosen_by_path() -> None:
    defaults = build_root("diffusion_models", "/data/unet"), build_root("diffusion_models", "/data/diffusion_models")
    disk = SimulatedDisk((*defaults, *build_install()))
    (fetch,) = disk.plan(build_entry("diffusion_models/x.pt")).fetch
    assert fetch.target.path == Path("/data/diffusion_models/x.pt")


def test_plan_linked_root_is_chosen_by_configured_path() -> None:
    roots = tuple(
        replace(root, path=Path("/nas/flux")) if root.configured_path.name == "unet" else root
        for root in build_install()
    )
    (fetch,) = SimulatedDisk(roots).plan(build_entry("diffusion_models/x.pt")).fetch
    assert fetch.target.path == MODELS / "diffusion_models/x.pt"


def test_plan_right_content_in_any_root_of_key_is_kept() -> None:
    for there, asked in (("unet", "diffusion_models"), ("diffusion_models", "unet")):
        disk = SimulatedDisk()
        path = disk.add_user_file(f"{there}/x.pt", "flux")
        plan = disk.plan(build_entry(f"{asked}/x.pt", "flux"))
        assert [keep.path for keep in plan.keep] == [path]
        assert (plan.fetch, plan.copy_local) == ((), ())


def test_plan_user_file_of_same_name_in_earlier_root_is_conflict() -> None:
    disk = SimulatedDisk()
    first = disk.add_user_file("unet/x.pt", "mine")
    plan = disk.plan(build_entry("diffusion_models/x.pt", "flux"))
    (refused,) = plan.blocked
    assert refused.state == "conflict"
    for fact in (str(first), str(MODELS / "diffusion_models/x.pt"), hash_text("mine"), hash_text("flux")):
        assert fact in refused.reason
    assert not plan.fetch


def test_plan_placed_file_shadowed_by_user_file_is_kept_and_reported() -> None:
    disk = SimulatedDisk()
    disk.add_placed_file("diffusion_models/x.pt", "flux")
    disk.add_user_file("unet/x.pt", "mine")
    plan = disk.plan(build_entry("diffusion_models/x.pt", "flux"))
    assert [refuse.state for refuse in plan.blocked] == ["conflict"]
    assert plan.is_empty


def test_plan_model_that_would_hide_user_file_is_conflict() -> None:
    disk = SimulatedDisk()
    disk.add_user_file("diffusion_models/x.pt", "mine")
    (refused,) = disk.plan(build_entry("unet/x.pt", "flux")).blocked
    assert "would hide" in refused.reason


def test_plan_owned_file_in_other_root_is_removed() -> None:
    for there, asked in (("unet", "diffusion_models"), ("diffusion_models", "unet")):
        disk = SimulatedDisk()
        disk.add_placed_file(f"{there}/x.pt", "old")
        plan = disk.plan(build_entry(f"{asked}/x.pt", "new"))
        assert [fetch.target.path for fetch in plan.fetch] == [MODELS / asked / "x.pt"]
        assert [removal.target.path for removal in plan.remove] == [MODELS / there / "x.pt"]
        disk.apply(plan)
        assert disk.plan(build_entry(f"{asked}/x.pt", "new")).is_empty


def test_plan_entries_ignored_by_comfyui_do_not_shadow() -> None:
    disk = SimulatedDisk()
    disk.add_user_file("unet/x.pt", kind="dangling", sha256=None, link=MODELS / "unet/x.pt")
    disk.add_user_file("diffusion_models/x.pt", "flux")
    assert len(disk.plan(build_entry("diffusion_models/x.pt", "flux")).keep) == 1


def test_plan_model_placed_in_unavailable_root_is_not_downloaded_again() -> None:
    roots = build_install()
    far = replace(build_root("loras", "/nas/loras"), problem="Its file system does not respond.", is_listed=False)
    disk = SimulatedDisk((*roots, far))
    disk.add_placement("/nas/loras/ink.pt", "ink")
    plan = disk.plan(build_entry("loras/ink.pt", "ink"))
    assert [refuse.reason for refuse in plan.blocked] == ["Its file system does not respond."]
    assert not plan.fetch
    assert len(disk.plan(build_entry("loras/other.pt")).fetch) == 1
