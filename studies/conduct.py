"""Make the runs of a study that its table does not hold yet, then draw the figure and write what was found.

NAME.csv        the table, one or more rows a run, written anew after every run; equal for equal seeds
NAME-times.csv  columns that differ all the same, because a clock measured them, where a study has such
NAME.json       question, setting, seeds, caption, the whole table, column by column; when, by which command, on which
                device and with which versions it was worked on last, and each time before
NAME.png        the figure with its caption
*.png           pictures of single runs, where a study makes them
"""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from gtfdeer import plots
from gtfdeer.training import remove_drafts, write_whole

from .side_by_side import made
from .study import Picture, Row, Study
from .table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Findings", "conduct", "read_rows"]


@dataclass(frozen=True)
class Findings:
    """What a study leaves.

    Attributes:
        rows: the table, times included.
        caption: what it shows.
        files: where table, record and figure are.
    """

    rows: list[Row]
    caption: str
    files: tuple[Path, ...]


def conduct(
    study: Study,
    folder: Path,
    *,
    full: bool = False,
    seeds: int | None = None,
    jobs: int = 1,
    facts: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Findings:
    """Make what is missing of a study, and tell what all of it shows.

    Args:
        study: from `find`.
        folder: where its files are, or will be; made if there is none.
        full: the whole study instead of a miniature.
        seeds: how many, from 0 on; by default the study's own number. More than before goes on from what there is.
        jobs: runs side by side, each in a process and on a core of its own; the table is the same.
        facts: for the record, such as the command, the device, versions.
        progress: show a bar.

    Raises:
        ValueError: for fewer than 1 seed or job, if runs that are timed should share the machine, and if the folder
            holds results of another setting.
        OSError: if the folder cannot be written in.
        KeyboardInterrupt: after Ctrl-C; finished runs are kept, and the same call goes on from there.
    """
    seeds = study.seeds[full] if seeds is None else seeds
    if seeds < 1:
        raise ValueError(f"seeds is {seeds}; pass how many repetitions to make, 1 or more")
    if jobs < 1 or (jobs > 1 and study.alone):
        most = f"{study.name} times programs, which must not share the machine" if study.alone else "pass 1 or more"
        raise ValueError(f"jobs is {jobs}; {most}{'; pass 1' if study.alone else ''}")
    folder = _made(Path(folder))
    files = table_file, times_file, record_file, figure_file = _files(study, folder)
    for file in files:
        remove_drafts(file)
    record = _record(study, record_file, table_file, full)
    table, times = Table(table_file), Table(times_file)
    runs = [run for seed in range(seeds) for run in study.plan(full, seed)]
    strangers = table.strangers(runs)
    if strangers:
        raise ValueError(
            f"{str(table_file)!r} holds {strangers} rows of other runs than these {len(runs)}: of more seeds, or "
            "of another version; pass as many seeds as before, or another folder"
        )
    now = {"date": datetime.now(UTC).isoformat(timespec="seconds"), **(facts or {})}
    record |= {"seeds": seeds, **now, "worked on": [*record["worked on"], now]}
    _write(record_file, record)
    _make(study, runs, table, times, jobs, progress)
    for part in (table, times):
        part.sort(runs)
    rows = read_rows(study, folder)
    record["caption"] = study.caption(rows)
    _write(record_file, record, rows)
    write_whole(figure_file, plots.png(captioned(study.draw(rows), record["caption"])))
    return Findings(rows, record["caption"], (table_file, record_file, figure_file))


def read_rows(study: Study, folder: Path) -> list[Row]:
    """The rows that a finished study left in a folder, times included."""
    table_file, times_file, *_ = _files(study, folder)
    rows = Table(table_file).rows
    return [row | timed for row, timed in zip(rows, Table(times_file).rows, strict=True)] if study.clock else rows


def _files(study: Study, folder: Path) -> tuple[Path, Path, Path, Path]:
    """Table, times, record and figure."""
    table, times, record, figure = (folder / f"{study.name}{end}" for end in (".csv", "-times.csv", ".json", ".png"))
    return table, times, record, figure


def captioned(sheet: Figure, caption: str) -> Figure:
    """The figure with its caption below the panels."""
    lines = textwrap.fill(caption, width=int(13.5 * sheet.get_figwidth()))
    sheet.supxlabel(lines, x=0.01, horizontalalignment="left", fontsize=9)
    return sheet


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise type(error)(f"cannot make the folder {str(folder)!r} ({reason}); pass a folder of your own") from error
    return folder


def _make(study: Study, runs: list[Any], table: Table, times: Table, jobs: int, progress: bool) -> None:
    missing = [run for run in runs if not table.holds(run)]
    done = len(runs) - len(missing)
    bar = tqdm(total=len(runs), initial=done, disable=not progress, unit="run", desc=study.name)
    measure = partial(_measured, study.measure, table.path.parent)
    try:
        for run, rows in made(measure, missing, min(jobs, max(1, len(missing)))):
            if study.clock and not times.holds(run):  # from a study that was killed between these two
                times.add(run, [{column: row[column] for column in study.clock} for row in rows])
            table.add(run, [{c: value for c, value in row.items() if c not in study.clock} for row in rows])
            bar.update()
            done += 1
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{done} of {len(runs)} runs are kept in {str(table.path)!r}; the same command goes on from there"
        ) from None
    finally:
        bar.close()


def _measured(measure: Callable[[Any], list[Row]], folder: Path, run: Any) -> list[Row]:
    return [_with_pictures_kept(row, folder) for row in measure(run)]


def _with_pictures_kept(row: Row, folder: Path) -> Row:
    """The row with the names of files in place of the pictures, which are written."""
    kept = dict(row)
    for column, value in row.items():
        if isinstance(value, Picture):
            kept[column] = f"{value.name}.png"
            write_whole(folder / kept[column], plots.png(value.figure))
    return kept


def _record(study: Study, record_file: Path, table_file: Path, full: bool) -> dict[str, Any]:
    """The record of the study in this folder, or the first one; refused if it is of another setting."""
    setting = "full" if full else "quick"
    if not record_file.exists():
        if table_file.exists():
            raise ValueError(
                f"{str(table_file)!r} has no {record_file.name} beside it, so nothing says how it was made; "
                "pass another folder"
            )
        return {"study": study.name, "question": study.question, "setting": setting, "worked on": []}
    record = _read(record_file, study.name)
    if record["setting"] != setting:
        raise ValueError(
            f"{str(record_file.parent)!r} holds results of the {record['setting']} setting, not of the {setting} one; "
            "pass another folder"
        )
    record.pop("table", None)  # of the last time; it is written anew
    return record


def _read(path: Path, name: str) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is damaged ({error}); pass another folder") from error
    if not isinstance(record, dict) or record.get("study") != name:
        raise ValueError(f"{str(path)!r} is not the record of the study {name!r}; pass another folder")
    return record


def _write(path: Path, record: dict[str, Any], rows: Sequence[Row] = ()) -> None:
    """One line a column of the table; what is not finite in words, since JSON has no number for it."""
    text = json.dumps(record, indent=1)
    if rows:
        columns = ",\n".join(f"  {json.dumps(c)}: {json.dumps([_in_json(row[c]) for row in rows])}" for c in rows[0])
        text = text.removesuffix("\n}") + ',\n "table": {\n' + columns + "\n }\n}"
    write_whole(path, (text + "\n").encode())


def _in_json(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
