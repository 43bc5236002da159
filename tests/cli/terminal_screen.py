"""What a person sees in a terminal: the rows of its screen, and those above that have scrolled off."""

import re

_TOKENS = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


class Screen:
    """A terminal of a size that wraps long lines, scrolls, moves its cursor up and erases lines.

    Wide characters are not supported.
    """

    def __init__(self, columns: int, rows: int = 24) -> None:
        self._columns, self._height = columns, rows
        self.scrolled: list[str] = []
        self._lines = [""] * rows
        self._row = self._column = 0

    @property
    def rows(self) -> list[str]:
        """All rows from the first one on, without those that are empty."""
        return [row.rstrip() for row in [*self.scrolled, *self._lines] if row.strip()]

    @property
    def shown(self) -> list[str]:
        """The rows of the screen, without those that have scrolled off."""
        return [row.rstrip() for row in self._lines]

    def feed(self, written: str) -> None:
        """Show what a program wrote."""
        for match in _TOKENS.finditer(written):
            parameters, command, move, text = match.groups()
            if command is not None:
                self._control(command, parameters)
            elif move == "\r":
                self._column = 0
            elif move == "\n":
                self._go_down()
            else:
                self._write(text)

    def _control(self, command: str, parameters: str) -> None:
        """Move the cursor up, or erase in the line; colours and the cursor's visibility do not count."""
        count = int(parameters) if parameters.isdigit() else 0
        if command == "A":
            self._row = max(0, self._row - max(1, count))
        elif command == "K":
            line = self._lines[self._row]
            self._lines[self._row] = "" if count == 2 else line[: self._column]
        elif command not in "mhl":
            raise NotImplementedError(f"ESC[{parameters}{command}")

    def _write(self, text: str) -> None:
        """Write a text at the cursor; each character beyond the last column goes to the next line."""
        for letter in text:
            if self._column == self._columns:
                self._column = 0
                self._go_down()
            line = self._lines[self._row].ljust(self._column)
            self._lines[self._row] = line[: self._column] + letter + line[self._column + 1 :]
            self._column += 1

    def _go_down(self) -> None:
        """Move the cursor down; at the last line, all lines scroll up."""
        if self._row < self._height - 1:
            self._row += 1
            return
        self.scrolled.append(self._lines.pop(0))
        self._lines.append("")
