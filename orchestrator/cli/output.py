"""How commands speak: results on standard output (text or JSON), progress and errors on standard error."""

import dataclasses
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from orchestrator.domain.exam import Alarm
from orchestrator.errors import E5BError
from orchestrator.i18n import _

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


class RichProgress:
    """Implements ports.Progress: a bar on a terminal, a line per phase elsewhere."""

    def __init__(self, console: Console = err) -> None:
        self._console = console
        self._bar: Progress | None = None
        self._title, self._total, self._done = "", 0, 0

    def begin(self, title: str, total: int) -> None:
        self._title, self._total, self._done = title, total, 0
        if not self._console.is_terminal:
            self._console.print(Text(f"{title} ({total})…"))
            return
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[what]}"),
            console=self._console,
        )
        self._bar.start()
        self._bar.add_task(title, total=total, what="")

    def step(self, what: str) -> None:
        self._done += 1
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], advance=1, what=what)

    def end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class NoProgress:
    """Implements ports.Progress for callers that show nothing."""

    def begin(self, title: str, total: int) -> None: ...
    def step(self, what: str) -> None: ...
    def end(self) -> None: ...


def plain(value: Any) -> Any:
    """*value* as JSON can hold it: dataclasses as objects, times as ISO 8601, durations as seconds."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value


def show(as_json: bool, value: Any, text: Callable[[], None]) -> None:
    """Print *value* as JSON, or let *text* print it for a person."""
    if as_json:
        sys.stdout.write(json.dumps(plain(value), ensure_ascii=False, indent=1) + "\n")
    else:
        text()


def clock_time(moment: datetime) -> str:
    """As a clock in the room shows it."""
    return moment.astimezone().strftime("%H:%M:%S")


def show_alarms(alarms: Sequence[Alarm]) -> None:
    for alarm in alarms:
        about = _("machine") if alarm.seat is None else _("seat {seat:02d}").format(seat=alarm.seat)
        sentence = _("ALARM since {time}, {about}: {message}").format(
            time=clock_time(alarm.raised_at), about=about, message=alarm.message
        )
        out.print(Text(sentence, style="bold red"))


def table(headings: Sequence[str], rows: Sequence[Sequence[str | Text]], title: str | None = None) -> None:
    grid = Table(title=title, title_justify="left", header_style="bold")
    for heading in headings:
        grid.add_column(heading, overflow="fold")
    for row in rows:
        grid.add_row(*row)
    out.print(grid)


def show_error(error: E5BError, as_json: bool) -> None:
    """The error as one sentence with what to do next; as JSON on standard output when the command was asked for it."""
    if as_json:
        value = {"error": error.message, "hint": error.hint, "details": error.details, "exit_code": error.exit_code}
        sys.stdout.write(json.dumps(plain(value), ensure_ascii=False, indent=1) + "\n")
        return
    err.print(Text(_("Error: {message}").format(message=error.message), style="bold red"))
    for detail in error.details:
        err.print(Text(f"  - {detail}"))
    if error.hint:
        err.print(Text(f"→ {error.hint}"))


def unexpected(error: Exception) -> E5BError:
    """For a fault of the program itself: the trace goes to a file, a person gets a sentence."""
    descriptor, path = tempfile.mkstemp(prefix="e5b-", suffix=".log")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        traceback.print_exception(error, file=file)
    return E5BError(
        _("The program has met a fault of its own."),
        hint=_("What was begun is stored: run the command again. If it fails again, send {path} to support.").format(
            path=path
        ),
    )
