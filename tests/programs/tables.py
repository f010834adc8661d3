# SPDX-License-Identifier: MIT
"""Where the tables of the programs stand: between two marks, in a page beside each program."""

from __future__ import annotations

from pathlib import Path


class Table:
    """The table that `python3 -m tests.programs.NAME --write` makes.

    name: of the program; its page is NAME.md.
    page: the file.
    """

    def __init__(self, name: str) -> None:
        self.page = Path(__file__).with_name(f"{name}.md")
        self._begin = f"<!-- {name}: begin (python3 -m tests.programs.{name} --write) -->\n"
        self._end = f"<!-- {name}: end -->\n"

    def read(self) -> str:
        """Return the table as it stands there."""
        return self.page.read_text(encoding="utf-8").split(self._begin)[1].split(self._end)[0]

    def write(self, text: str) -> None:
        """Put another in its place.

        text: the table in Markdown, with its last line end.
        """
        page = self.page.read_text(encoding="utf-8")
        before, _, rest = page.partition(self._begin)
        after = rest.partition(self._end)[2]
        self.page.write_text(before + self._begin + text + self._end + after, encoding="utf-8")
