"""Files that torch writes have equal tensors after their conversion to safetensors, as torch itself reads both."""

from pathlib import Path

from modelyard.server.inspection.conversion import plan_conversion
from modelyard.wire.problems import ConversionRefused
from tests.server.inspection.builders import MemoryReader, table
from tests.server.inspection.pickle_corpus import VALID_VALUES
from tests.server.inspection.pickle_parts import FALSE, checkpoint, view_all_as
from tests.torch_loading.test_clean_loads import NOT_LOADABLE, REFUSED_THOUGH_LOADABLE, run_program, write_files

# What safetensors cannot hold, or has no names.
UNSUPPORTED_TENSORS = {"unsupported tensor", "no state dict"}


def convert(source: Path) -> Path | str:
    """Convert a file beside itself; return the path, or what the file is if its conversion is refused."""
    reader = MemoryReader(source.read_bytes())
    try:
        plan = plan_conversion(reader)
    except ConversionRefused as refused:
        return str(refused.facts["found"])
    converted = source.with_name(f"{source.name}.safetensors")
    converted.write_bytes(b"".join(plan.iterate(reader)))
    return converted


def find_differences(pairs: list[tuple[Path, Path]]) -> dict[str, str]:
    """Return what differs between files and their conversions, by name; nothing for those that are equal."""
    lines = "".join(f"{source}\t{converted}\n" for source, converted in pairs)
    compared = run_program("compare_conversions.py", stdin=lines).splitlines()
    return {
        source.name: line for (source, _), line in zip(pairs, compared, strict=True) if not line.startswith("equal ")
    }


def test_convert_files_of_torch_have_equal_tensors_or_are_refused(tmp_path: Path) -> None:
    run_program("save_checkpoints.py", str(tmp_path))
    sources = sorted(tmp_path.iterdir())
    results = {source: convert(source) for source in sources}
    pairs = [(source, found) for source, found in results.items() if isinstance(found, Path)]
    refused = {source.name: found for source, found in results.items() if isinstance(found, str)}
    assert find_differences(pairs) == {}
    assert len(pairs) >= 12
    expected = NOT_LOADABLE.keys() | REFUSED_THOUGH_LOADABLE.keys()
    assert {name.partition(".")[0] for name, found in refused.items() if found not in UNSUPPORTED_TENSORS} <= expected


def test_convert_valid_values_of_the_corpus_have_equal_tensors_or_are_refused(tmp_path: Path) -> None:
    values = {**VALID_VALUES, "a negation of false": view_all_as("float32", table(neg=FALSE))}
    sources = write_files(tmp_path, [checkpoint(table(w=value)) for value in values.values()])
    results = {source: convert(source) for source in sources}
    pairs = [(source, found) for source, found in results.items() if isinstance(found, Path)]
    assert find_differences(pairs) == {}
    assert len(pairs) >= 6
