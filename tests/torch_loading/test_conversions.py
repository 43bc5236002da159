"""Files that torch writes have equal tensors after their conversion to safetensors, as torch itself reads both."""

from pathlib import Path

from modelyard.server.inspection.conversion import plan_conversion
from modelyard.wire.problems import ConversionRefused
from tests.server.inspection.builders import MemoryReader
from tests.torch_loading.test_clean_loads import NOT_LOADABLE, REFUSED_THOUGH_LOADABLE, run_program

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


def test_convert_files_of_torch_have_equal_tensors_or_are_refused(tmp_path: Path) -> None:
    run_program("save_checkpoints.py", str(tmp_path))
    sources = sorted(tmp_path.iterdir())
    results = {source: convert(source) for source in sources}
    pairs = [(source, found) for source, found in results.items() if isinstance(found, Path)]
    refused = {source.name: found for source, found in results.items() if isinstance(found, str)}
    lines = "".join(f"{source}\t{converted}\n" for source, converted in pairs)
    compared = run_program("compare_conversions.py", stdin=lines).splitlines()
    differing = {
        source.name: line for (source, _), line in zip(pairs, compared, strict=True) if not line.startswith("equal ")
    }
    assert differing == {}
    assert len(pairs) >= 12
    expected = NOT_LOADABLE.keys() | REFUSED_THOUGH_LOADABLE.keys()
    assert {name for name, found in refused.items() if found not in UNSUPPORTED_TENSORS} <= expected
