"""The live screen of `pygase monitor`. Needs textual, which comes with `pip install 'pygase-rs[monitor]'`."""

from __future__ import annotations

import asyncio
import time
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.widgets import DataTable, Footer, Static

from pygase.tools._rates import Rates, View
from pygase.tools._screen import WIDTH, columns_of, heading, in_order
from pygase.tools._sources import GoneError, Source

__all__ = ["MonitorApp"]

#: Clients that the table shows; the others are counted.
MOST_ROWS = 200


class MonitorApp(App[None]):
    """Shows figures until it is quit, or nobody answers any more.

    Args:
        source: Where they come from; open.
        title: The first line.
        interval: Seconds between two readings.
        key: The column that clients are sorted by at first.

    Attributes:
        view: The last view, or None.
        gone: Why it ended by itself, or None.
        key: The column that clients are sorted by.
        is_reversed: Whether they are sorted the other way round.
    """

    CSS = """
    #title { background: $primary; color: $text; text-style: bold; height: 1; }
    #narrow { background: $error; color: $text; height: 1; display: none; }
    #heading { height: auto; }
    DataTable { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("s", "sort(1)", "sort by next"),
        ("S", "sort(-1)", "by previous"),
        ("r", "reverse", "reverse"),
        ("p", "pause", "pause"),
        ("q", "quit", "quit"),
        Binding("ctrl+c", "quit", show=False, priority=True),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, source: Source, title: str, interval: float, key: str) -> None:
        super().__init__()
        self._source = source
        self._first_line = title
        self._interval = interval
        self._rates = Rates()
        self._is_paused = False
        self._titles: list[str] = []
        self.key = key
        self.is_reversed = False
        self.view: View | None = None
        self.gone: GoneError | None = None

    def compose(self) -> ComposeResult:
        """Return what is on the screen."""
        yield Static(self._first_line, id="title", markup=False)
        yield Static(f"{WIDTH} columns are needed: make the terminal wider", id="narrow")
        yield Static("", id="heading", markup=False)
        yield DataTable[Text](cursor_type="none", cell_padding=0)
        yield Footer()

    def on_mount(self) -> None:
        """Begin to read."""
        self.query_one(DataTable).focus()
        # Not in a timer: one that waits for an answer would keep the app from ending.
        self.run_worker(self._follow())

    def on_resize(self, event: Resize) -> None:
        """Say so if the terminal is too narrow now."""
        self.query_one("#narrow").display = event.size.width < WIDTH
        self._show()

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """Sort by the column that was clicked, or the other way round."""
        if self.view is not None:
            key = columns_of(self.view)[event.column_index].key
            self.is_reversed = key == self.key and not self.is_reversed
            self.key = key
            self._show()

    def action_sort(self, steps: int) -> None:
        """Sort by another column.

        Args:
            steps: How many columns further to the right.
        """
        if self.view is not None:
            keys = [column.key for column in columns_of(self.view)]
            self.key = keys[(keys.index(self.key) + steps) % len(keys)]
            self.is_reversed = False
            self._show()

    def action_reverse(self) -> None:
        """Sort the other way round."""
        self.is_reversed = not self.is_reversed
        self._show()

    def action_pause(self) -> None:
        """Keep what is shown, or go on."""
        self._is_paused = not self._is_paused
        self._show()

    async def _follow(self) -> None:
        try:
            while True:
                view = self._rates.view(time.monotonic(), await self._source.read())
                if not self._is_paused:
                    self.view = view
                    self._show()
                await asyncio.sleep(self._interval)
        except GoneError as gone:
            self.gone = gone
            self.exit()

    def _show(self) -> None:
        view = self.view
        if view is None:
            return
        lines = heading(view, self.size.width)
        if self._is_paused:
            lines[0] += "; paused"
        if len(view.rows) > MOST_ROWS:
            lines[0] += f"; the first {MOST_ROWS} below"
        self.query_one("#heading", Static).update("\n".join(lines))
        table: DataTable[Any] = self.query_one(DataTable)  # pyright: ignore[reportUnknownVariableType]
        self._fill(table, view)

    def _fill(self, table: DataTable[Any], view: View) -> None:
        """Write into the table in place, so that it stays where it was scrolled to."""
        columns = columns_of(view)
        arrow = "▲" if (self.key == "client") != self.is_reversed else "▼"
        titles = [column.title + (arrow if column.key == self.key else "") for column in columns]
        if titles != self._titles:
            self._titles = titles
            table.clear(columns=True)
            for column, title in zip(columns, titles, strict=True):
                justify: Any = "left" if column.key == "client" else "right"
                table.add_column(Text(title, justify=justify), width=column.width)
        rows = [
            [
                Text(column.write(row[column.key]), justify="left" if column.key == "client" else "right")
                for column in columns
            ]
            for row in in_order(view, self.key, self.is_reversed)[:MOST_ROWS]
        ]
        while table.row_count > len(rows):
            table.remove_row(table.coordinate_to_cell_key((table.row_count - 1, 0)).row_key)  # type: ignore[arg-type]
        for index, cells in enumerate(rows):
            if index >= table.row_count:
                table.add_row(*cells)
            else:
                for place, cell in enumerate(cells):
                    table.update_cell_at((index, place), cell)  # type: ignore[arg-type]
