import io
from contextlib import redirect_stderr
from pathlib import Path

from modelyard.cli.output import Output
from modelyard.cli.progress import Lines, Silence, Stage, drawing, progress_line
from modelyard.client.push import Reading
from modelyard.transfer.progress import Hashed, Resumed, Retrying, Sent

INK = Path("models/ink.safetensors")


class Clock:
    """Time that passes when a test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_log_gets_a_line_every_few_seconds_and_no_more() -> None:
    clock, said = Clock(), list[str]()
    lines = Lines(said.append, clock)
    for second in range(12):
        clock.now = 100.0 + second
        lines.hear(Sent(INK, second * 100_000_000, 2_000_000_000))
    assert said == [
        "ink.safetensors: sending 500 MB of 2 GB (25 %), 100 MB/s, 15 s left",
        "ink.safetensors: sending 1 GB of 2 GB (50 %), 100 MB/s, 10 s left",
    ]


def test_a_new_stage_starts_its_own_count() -> None:
    clock, said = Clock(), list[str]()
    lines = Lines(said.append, clock)
    lines.hear(Hashed(INK, 900, 1000))
    clock.now += 60
    lines.hear(Sent(INK, 0, 1000))
    clock.now += 5
    lines.hear(Sent(INK, 500, 1000))
    assert said == ["ink.safetensors: sending 500 B of 1 kB (50 %), 100 B/s, 5 s left"]


def test_what_stands_still_says_that_it_waits() -> None:
    assert progress_line("ink", Stage("sending", 5, 10), 0.0) == "ink: sending 5 B of 10 B (50 %), waiting"


def test_retries_and_resumes_are_told_at_once() -> None:
    said: list[str] = []
    lines = Lines(said.append)
    lines.hear(Resumed(INK, 500, 1000))
    lines.hear(Retrying(INK, "The line was cut.", 2.0))
    lines.hear(Reading(INK))
    assert said == ["ink.safetensors: going on after 500 B of 1 kB", "ink.safetensors: The line was cut. Again in 2 s."]


def test_the_quiet_and_the_piped_get_no_bars() -> None:
    with redirect_stderr(io.StringIO()):
        for style, kind in (("quiet", Silence), ("json", Lines), ("human", Lines)):
            with drawing(Output(style)) as picture:  # type: ignore[arg-type]  # mypy forgets the literals of the tuple
                assert isinstance(picture, kind)


class Screen(io.StringIO):
    """A terminal as far as programs ask."""

    def isatty(self) -> bool:
        return True


def test_bars_move_on_a_terminal_and_answers_stay_whole() -> None:
    screen, output = Screen(), Output("human")
    with redirect_stderr(screen), drawing(output) as picture:
        picture.hear(Hashed(INK, 1, 1000))
        picture.hear(Sent(INK, 500, 1000))
        picture.hear(Sent(Path("evil\x1b]0;x\x07[bold].pt"), 500, 1000))
        picture.above(lambda: output.warn("registered  " + "x" * 300))
        picture.forget(INK)
    drawn = screen.getvalue()
    assert "sending" in drawn
    assert "\x1b]0;" not in drawn
    assert "[bold]" in drawn
    assert "registered  " + "x" * 300 in drawn
