"""Which file ComfyUI loads under a name that several of a key's folders have."""

from dataclasses import replace
from pathlib import Path

from modelyard.client.sync.holding.roots import RootOnDisk
from tests.client.sync.making import DISK, MODELS, Disk, install, model, sha256_of


def test_a_model_goes_to_the_folder_that_its_path_names() -> None:
    for folder in ("unet", "diffusion_models"):
        (fetch,) = Disk().plan(model(f"{folder}/x.pt")).fetch
        assert fetch.target.path == MODELS / folder / "x.pt"


def root(key: str, path: str) -> RootOnDisk:
    return RootOnDisk(key, Path(path), Path(path), Path(path) / ".modelyard", DISK, 1)


def test_a_folder_that_the_operator_put_first_is_the_default() -> None:
    disk = Disk((root("checkpoints", "/webui/Stable-diffusion"), *install()))
    (fetch,) = disk.plan(model("checkpoints/x.ckpt")).fetch
    assert fetch.target.path == Path("/webui/Stable-diffusion/x.ckpt")


def test_of_two_default_folders_side_by_side_the_path_chooses() -> None:
    defaults = root("diffusion_models", "/data/unet"), root("diffusion_models", "/data/diffusion_models")
    disk = Disk((*defaults, *install()))
    (fetch,) = disk.plan(model("diffusion_models/x.pt")).fetch
    assert fetch.target.path == Path("/data/diffusion_models/x.pt")


def test_a_folder_that_is_a_link_stands_where_comfyui_sees_it() -> None:
    roots = tuple(replace(root, path=Path("/nas/flux")) if root.given.name == "unet" else root for root in install())
    (fetch,) = Disk(roots).plan(model("diffusion_models/x.pt")).fetch
    assert fetch.target.path == MODELS / "diffusion_models/x.pt"


def test_the_right_bytes_in_any_folder_of_the_key_are_right() -> None:
    for there, asked in (("unet", "diffusion_models"), ("diffusion_models", "unet")):
        disk = Disk()
        path = disk.file(f"{there}/x.pt", "flux")
        plan = disk.plan(model(f"{asked}/x.pt", "flux"))
        assert [keep.path for keep in plan.keep] == [path]
        assert (plan.fetch, plan.adopt) == ((), ())


def test_a_name_that_an_earlier_folder_has_is_not_placed_behind_it() -> None:
    disk = Disk()
    first = disk.file("unet/x.pt", "mine")
    plan = disk.plan(model("diffusion_models/x.pt", "flux"))
    (refused,) = plan.refuse
    assert refused.state == "conflict"
    for fact in (str(first), str(MODELS / "diffusion_models/x.pt"), sha256_of("mine"), sha256_of("flux")):
        assert fact in refused.reason
    assert not plan.fetch


def test_a_placed_file_that_a_users_file_came_to_shadow_is_kept_and_said() -> None:
    disk = Disk()
    disk.placed("diffusion_models/x.pt", "flux")
    disk.file("unet/x.pt", "mine")
    plan = disk.plan(model("diffusion_models/x.pt", "flux"))
    assert [refuse.state for refuse in plan.refuse] == ["conflict"]
    assert plan.is_done


def test_nothing_is_placed_that_would_hide_a_users_file() -> None:
    disk = Disk()
    disk.file("diffusion_models/x.pt", "mine")
    (refused,) = disk.plan(model("unet/x.pt", "flux")).refuse
    assert "would hide" in refused.reason


def test_the_agents_own_file_in_another_folder_makes_way() -> None:
    for there, asked in (("unet", "diffusion_models"), ("diffusion_models", "unet")):
        disk = Disk()
        disk.placed(f"{there}/x.pt", "old")
        plan = disk.plan(model(f"{asked}/x.pt", "new"))
        assert [fetch.target.path for fetch in plan.fetch] == [MODELS / asked / "x.pt"]
        assert [removal.target.path for removal in plan.remove] == [MODELS / there / "x.pt"]
        disk.carry_out(plan)
        assert disk.plan(model(f"{asked}/x.pt", "new")).is_done


def test_what_comfyui_passes_over_does_not_shadow() -> None:
    disk = Disk()
    disk.file("unet/x.pt", kind="dangling", sha256=None, link=MODELS / "unet/x.pt")
    disk.file("diffusion_models/x.pt", "flux")
    assert len(disk.plan(model("diffusion_models/x.pt", "flux")).keep) == 1


def test_bytes_that_were_placed_in_a_folder_that_is_away_are_not_fetched_again() -> None:
    roots = install()
    far = replace(root("loras", "/nas/loras"), trouble="Its file system does not answer.", is_listed=False)
    disk = Disk((*roots, far))
    disk.row("/nas/loras/ink.pt", "ink")
    plan = disk.plan(model("loras/ink.pt", "ink"))
    assert [refuse.reason for refuse in plan.refuse] == ["Its file system does not answer."]
    assert not plan.fetch
    assert len(disk.plan(model("loras/other.pt")).fetch) == 1
