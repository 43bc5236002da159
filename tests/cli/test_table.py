import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.cli.terminal.colors import find_state_color
from modelyard.cli.terminal.formatting import count_columns
from modelyard.cli.terminal.table import Column, cut_path, cut_text, format_table

UUID_TEXT = "0199f3a1-9d3c-7000-8000-000000000001"
HEADINGS = (Column("PATH", 0), Column("NAME", 4), Column("SIZE", 3), Column("STATE", 1), Column("ID", 2))


def test_table_without_width_aligns_wide_characters_and_cuts_nothing() -> None:
    lines = list(map(str, format_table(("NAME", "ID"), [("墨", "1"), ("x" * 300, "2")])))
    assert lines[2] == "x" * 300 + "  2"
    assert count_columns(lines[1]) == count_columns(lines[2])


@given(
    st.lists(st.tuples(st.text(), st.text(), st.just("6.8 GB"), st.text(), st.just("0199f3a1")), max_size=5),
    st.integers(min_value=40, max_value=200),
)
def test_table_with_width_has_no_wider_line_for_any_text(rows: list[tuple[str, ...]], width: int) -> None:
    assert max(count_columns(str(line)) for line in format_table(HEADINGS, rows, width)) <= width


def test_table_at_40_columns_keeps_path_state_and_id() -> None:
    row = ("loras/portraits/inkwash-2000-steps.safetensors", "Ink wash", "218 MB", "verified", "0199f3a1-9d3c")
    heading, line = map(str, format_table(HEADINGS, [row], 40))
    assert heading.split() == ["PATH", "STATE", "ID"]
    assert line == "lora…2000-steps  verified  0199f3a1-9d3c"


@pytest.mark.parametrize("heading", ["PATH", "ASKED"])
def test_table_at_80_columns_tells_files_apart_by_their_extensions(heading: str) -> None:
    stem = "loras/portraits/kaori-watercolour-2000-steps"
    rows = [(f"{stem}{extension}", "verified", "0199f3a1", "2 minutes ago") for extension in (".safetensors", ".gguf")]
    shown = [str(line).split()[0] for line in format_table((heading, "STATE", "ID", "CHANGED"), rows, 80)[1:]]
    assert [cell.rpartition("2000-steps")[2] for cell in shown] == ["…", ".gguf"]


def test_table_at_80_columns_cuts_the_base_model_before_paths_that_differ_in_their_middle() -> None:
    headings = [Column("PATH", 0), Column("BASE", 4), Column("SIZE", 5), Column("STATE", 1), Column("ID", 2)]
    rows = [
        (f"loras/wan/Wan2.2-T2V-A14B-{noise}-lightx2v-rank64.safetensors", "Wan Video 2.2 T2V-A14B", "102 kB", *ends)
        for noise, *ends in [("HIGH", "verified", "0199f3a1-9d3c"), ("LOW", "verified", "0199f3a1-9d3d")]
    ]
    _, high, low = map(str, format_table(headings, rows, 80))
    assert high == "loras/wa…14B-HIGH-lightx2v-rank64  Wan Video 2…  102 kB  verified  0199f3a1-9d3c"
    assert low == "loras/wa…A14B-LOW-lightx2v-rank64  Wan Video 2…  102 kB  verified  0199f3a1-9d3d"


@pytest.mark.parametrize(("width", "shown"), [(12, "Illustrious?"), (10, "Illustri…?"), (2, "I…")])
def test_cut_text_keeps_the_question_mark_of_a_guess(width: int, shown: str) -> None:
    assert cut_text("Illustrious?", width) == shown


def test_table_cell_that_fits_is_not_cut() -> None:
    row = ("loras/ink.safetensors", "Ink", "218 MB", "verified", "0199f3a1")
    assert str(format_table(HEADINGS, [row], 80)[1]).split() == [*row[:2], "218", "MB", *row[3:]]


def test_table_never_cuts_an_id() -> None:
    line = str(format_table(("E-MAIL", "NAME", "ID"), [("a" * 60, "b" * 60, UUID_TEXT)], 80)[1])
    assert line.endswith(UUID_TEXT)


def test_table_shows_reasons_that_do_not_fit_below_their_rows_in_full() -> None:
    reason = "The folder of checkpoints cannot be written: give its group write permission on this machine."
    rows = [("render-01", "problem", reason), ("render-02", "up to date", "")]
    lines = list(map(str, format_table(("MACHINE", "STATE", "REASON"), rows, 60)))
    assert [lines[0], lines[1], lines[-1]] == [
        "MACHINE    STATE",
        "render-01  problem",
        "render-02  up to date",
    ]
    assert all(line.startswith("    ") and len(line) <= 60 for line in lines[2:-1])
    assert " ".join(" ".join(lines[2:-1]).split()) == reason


def test_table_shows_reasons_that_fit_beside_the_other_columns() -> None:
    lines = list(map(str, format_table(("MACHINE", "REASON"), [("render-01", "Paused.")], 60)))
    assert lines == ["MACHINE    REASON", "render-01  Paused."]


@given(st.text(), st.integers(min_value=20, max_value=100))
def test_table_with_width_has_no_wider_line_for_any_reason(reason: str, width: int) -> None:
    lines = format_table(("MACHINE", "REASON"), [("render-01", reason)], width)
    assert max(count_columns(str(line)) for line in lines) <= width


@pytest.mark.parametrize(
    ("text", "width", "cut"),
    [("ink", 3, "ink"), ("inkwash", 4, "ink…"), ("墨墨墨", 4, "墨…"), ("ink wash", 5, "ink…")],
)
def test_cut_text_ends_with_ellipsis_within_width(text: str, width: int, cut: str) -> None:
    assert cut_text(text, width) == cut


@pytest.mark.parametrize(
    ("width", "cut"),
    [
        (30, "loras/inkwash-2000.safetensors"),
        (29, "loras/inkwash-2000…"),
        (19, "loras/inkwash-2000…"),
        (18, "loras…inkwash-2000"),
        (15, "lora…kwash-2000"),
        (1, "…"),
    ],
)
def test_cut_path_leaves_out_the_common_extension_before_its_middle(width: int, cut: str) -> None:
    assert cut_path("loras/inkwash-2000.safetensors", width) == cut


@pytest.mark.parametrize(
    ("width", "cut"), [(23, "loras/inkwash-2000.gguf"), (20, "loras…wash-2000.gguf"), (9, "lo…h-2000")]
)
def test_cut_path_keeps_another_extension_while_there_is_space(width: int, cut: str) -> None:
    assert cut_path("loras/inkwash-2000.gguf", width) == cut


@pytest.mark.parametrize(
    ("state", "color"),
    [
        ("verified", None),
        ("verified, v2 pending", "yellow"),
        ("verified, v3 failed", "red"),
        ("damaged, v2 pending", "red"),
        ("disabled, v2 pending", "bright_black"),
        ("Up to date", "green"),
        ("Problem: disk full", "red"),
        ("syncing 40 %", "cyan"),
    ],
)
def test_state_color_is_that_of_the_first_state_in_a_text(state: str, color: str | None) -> None:
    assert find_state_color(state) == color


def test_format_table_says_a_long_sentence_of_several_rows_once() -> None:
    sentence = "It has sent no heartbeat for a while. Start its agent, or look at its network."
    rows = [("a", "offline", sentence), ("b", "ready", ""), ("c", "offline", sentence)]
    lines = [str(line).rstrip() for line in format_table(("MACHINE", "STATE", "REASON"), rows, 50)]
    assert lines[-1] == "    The same as a."
    assert "\n".join(lines).count("heartbeat") == 1
