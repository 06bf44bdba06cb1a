"""What each process has done so far, one line a batch, which outlives a killed run.

Every process appends to a file of its own in the output folder; the first one reads all of them, for the progress of
the run and for the seconds and the device of each picture.  The folder is removed when the run ends.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

FOLDER = ".unfinished"


class Journal:
    """The journals of one output folder.

    Args:
        folder: the output folder.
        rank: of this process.
        name: of the folder of journals in it.
    """

    def __init__(self, folder: Path, rank: int, name: str = FOLDER) -> None:
        self.folder, self.own = folder / name, folder / name / f"{rank}.jsonl"
        self.read = {path: path.stat().st_size for path in self._files()}  # earlier runs' lines are no progress

    def write(self, **line: Any) -> None:
        """Append a line, at once."""
        self.folder.mkdir(exist_ok=True)
        with self.own.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def news(self) -> Iterator[dict[str, Any]]:
        """The lines that the other processes have added since the last call."""
        for path in self._files():
            if path != self.own:
                with path.open("rb") as file:
                    begin = self.read.get(path, 0)
                    self.read[path] = file.seek(begin if begin <= path.stat().st_size else 0)  # it was replaced
                    for raw in file:
                        if raw.endswith(b"\n"):  # else half written
                            self.read[path] += len(raw)
                            yield from objects([raw])

    def all(self) -> Iterator[dict[str, Any]]:
        """All lines of all processes, also of earlier runs that did not end."""
        for path in self._files():
            with path.open("rb") as file:
                yield from objects(file)

    def close(self) -> None:
        """Remove the journals: all they hold is in the results."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.jsonl"))


def objects(lines: Iterable[bytes | str]) -> Iterator[dict[str, Any]]:
    """The JSON objects in lines; other lines, such as the half one of a killed process, are skipped."""
    for raw in lines:
        with suppress(ValueError, RecursionError):
            found = json.loads(raw)
            if isinstance(found, dict):
                yield found
