"""Properties of every plan, for any entries of a registry and any content of the disk."""

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelyard.sync.desired import build_desired_state
from modelyard.sync.inventory.inventory import Inventory
from modelyard.sync.inventory.listing import EntryKind
from modelyard.sync.planning.actions import CopyLocal, Fetch, Plan, Replace
from modelyard.sync.planning.planner import plan_sync
from modelyard.wire.agents.manifests import ManifestEntry
from tests.sync.factories import DISK, MODELS, SimulatedDisk, build_entry, build_install, build_policy, hash_text

pytestmark = pytest.mark.slow

SECOND = Path("/second/models")
CONTENTS = ["one", "two", "three"]
PATHS = [f"{folder}/{name}" for folder in ("loras", "unet", "diffusion_models") for name in ("a.pt", "b.pt", "s/c.pt")]

contents = st.sampled_from(CONTENTS)
paths = st.sampled_from(PATHS)
places = st.builds(lambda models, path: str(models / path), st.sampled_from([MODELS, SECOND]), paths)
models = st.builds(
    lambda path, content, keep, is_hashed: build_entry(
        path, content, keep=keep, **({} if is_hashed else {"file_hash": "none"})
    ),
    paths,
    contents,
    st.booleans(),
    st.integers(0, 5),
)


# How long one example takes depends on what else the machine does.
unhurried = settings(deadline=None)
HERE, BESIDE = build_install(), build_install(SECOND)
AWAY = build_install(Path("/third/models"), problem="It is away.", is_listed=False)


@st.composite
def disks(draw: st.DrawFn) -> SimulatedDisk:
    disk = SimulatedDisk(*draw(st.sampled_from([[HERE], [HERE, BESIDE], [HERE, HERE], [HERE, AWAY]])))
    for place in draw(st.lists(places, unique=True)):
        add_random_file(disk, place, draw)
    for content in draw(st.sets(contents)):
        disk.trash_files[DISK, hash_text(content)] = MODELS / f".modelyard/trash/{hash_text(content)}.1"
    return disk


def add_random_file(disk: SimulatedDisk, place: str, draw: st.DrawFn) -> None:
    """Add something at the path, and journal rows that may or may not match it."""
    kinds: list[EntryKind] = ["file", "file", "file", "link", "dangling", "folder", "unreadable"]
    kind = draw(st.sampled_from(kinds))
    content = draw(contents)
    facts: dict[str, object] = {"kind": kind, "link": Path(place) if kind in ("link", "dangling") else None}
    if kind not in ("file", "link"):
        facts |= {"sha256": None, "reason": "it cannot be read"}
    if draw(st.booleans()):
        disk.add_user_file(place, content, **facts)
    for noted in draw(st.sets(contents, max_size=2)):
        inode = disk.files[Path(place)].inode if Path(place) in disk.files and draw(st.booleans()) else 7
        disk.add_placement(
            place, noted, draw(st.sampled_from(["placed", "found"])), is_confirmed=draw(st.booleans()), inode=inode
        )


@unhurried
@given(st.lists(models, max_size=8), disks())
def test_plan_any_input_changes_only_owned_files(desired: list[ManifestEntry], disk: SimulatedDisk) -> None:
    plan = disk.plan(*desired, has_removal_limit=False)
    for path, sha256 in [
        *((removal.target.path, removal.placement.sha256) for removal in plan.remove),
        *((step.target.path, step.old_placement.sha256) for step in plan.replace),
    ]:
        there, row = disk.files[path], disk.placements[path, sha256]
        assert there.is_regular_file
        assert there.sha256 == row.sha256 == sha256
        assert row.origin == "placed"
        assert row.is_confirmed or row.inode == there.inode
    for target in [step.target for step in plan.fetch] + [step.target for step in plan.copy_local]:
        assert target.path not in disk.files


@unhurried
@given(st.lists(models, max_size=8), disks())
def test_plan_any_input_stays_inside_roots(desired: list[ManifestEntry], disk: SimulatedDisk) -> None:
    plan = disk.plan(*desired, has_removal_limit=False)
    roots = {root for roots in disk.installs for root in roots if root.problem is None}
    targets = [step.target for step in list_place_actions(plan)] + [removal.target for removal in plan.remove]
    for target in targets:
        assert target.root in roots
        assert target.root.contains(target.path)
        assert ".." not in target.path.parts


hostile = st.builds(
    build_entry,
    st.text("./\\~:lorasunet \0\n\u202e", max_size=30) | st.text(max_size=30).map(lambda name: f"loras/{name}.pt"),
    contents,
    model_type=st.sampled_from(["loras", "..", "custom_nodes", "unet", ".modelyard", "/", ""]),
    file_size=st.integers(-1, 2**70),
)


@unhurried
@given(st.lists(hostile, max_size=8), disks())
def test_plan_hostile_entries_stay_inside_roots(desired: list[ManifestEntry], disk: SimulatedDisk) -> None:
    plan = disk.plan(*desired)
    for step in list_place_actions(plan):
        inside = step.target.path.relative_to(step.target.root.path)
        assert step.target.root.key == step.desired.model_type
        assert not {"..", ".", "", ".modelyard", "custom_nodes"} & set(inside.parts)
        assert "\0" not in str(inside)
    assert all(refuse.reason.isprintable() for refuse in plan.blocked)


@unhurried
@given(st.lists(models, max_size=8), disks())
def test_plan_after_applied_plan_is_empty(desired: list[ManifestEntry], disk: SimulatedDisk) -> None:
    disk.apply(disk.plan(*desired, has_removal_limit=False))
    again = disk.plan(*desired, has_removal_limit=False)
    assert again.is_empty, again


@unhurried
@given(st.lists(models, max_size=8), disks())
def test_plan_every_desired_model_is_kept_placed_or_blocked(desired: list[ManifestEntry], disk: SimulatedDisk) -> None:
    plan = disk.plan(*desired)
    told = {step.desired.id for step in list_place_actions(plan)} | {keep.desired.id for keep in plan.keep}
    told |= {refuse.model_id for refuse in plan.blocked}
    assert told == {entry.id for entry in desired}


@unhurried
@given(st.lists(models, max_size=8), disks(), st.randoms(use_true_random=False))
def test_plan_input_order_does_not_matter(desired: list[ManifestEntry], disk: SimulatedDisk, random: Random) -> None:
    plan = disk.plan(*desired)
    assert (
        plan_sync(build_desired_state(shuffle(desired, random)), shuffle_inventory(disk, random), build_policy())
        == plan
    )


@unhurried
@given(st.lists(models, max_size=8), disks())
def test_plan_content_needed_by_blocked_model_is_not_removed(desired: list[ManifestEntry], disk: SimulatedDisk) -> None:
    plan: Plan = disk.plan(*desired, has_removal_limit=False)
    refused = {refuse.model_id for refuse in plan.blocked}
    assert not [removal for removal in plan.remove if removal.placement.model_id in refused]


def list_place_actions(plan: Plan) -> list[Fetch | CopyLocal | Replace]:
    return [*plan.fetch, *plan.copy_local, *plan.replace]


def shuffle(things: list[ManifestEntry], random: Random) -> list[ManifestEntry]:
    return random.sample(things, len(things))


def shuffle_inventory(disk: SimulatedDisk, random: Random) -> Inventory:
    """Return the same inventory in another order."""
    held = disk.build_inventory()
    files = random.sample(list(held.files.items()), len(held.files))
    entries = random.sample(held.placements, len(held.placements))
    trash = random.sample(list(held.trash_files.items()), len(held.trash_files))
    return replace(held, files=dict(files), placements=tuple(entries), trash_files=dict(trash))
