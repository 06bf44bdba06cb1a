"""Copies of contents and styles as they were transferred, for the page: square, at the network's size.

They are lossless WebP files, so that nobody who looks for the PNGs of a run takes them for results.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from PIL import Image

from hsx.assets import resolve
from hsx.errors import ImageError
from hsx.io.files import COPIES, atomic
from hsx.io.reading import read_picture, reading, square, unsaid
from hsx.store.records import record_of

FOLDER = Path("report", "originals")
SAID = "Copies of contents and styles, for the report.html above, by hsx, which takes them for nothing else.\n"


@dataclass(frozen=True)
class Original:
    """A content or a style of a run.

    Attributes:
        path: as results.jsonl has it.
        result: a picture that was made from it; None where there is none.
        place: 0 for a content, 1 for a style.
    """

    path: str
    result: Path | None
    place: int


def copies(originals: Sequence[Original], folder: Path) -> list[str]:
    """Copy each original that is not there yet; the names of the copies in FOLDER, "" where there is none.

    A copy is named by the digest of its pixels, which the records of results hold: one that is there is not read
    again, and a picture that has changed since is not shown as what a result was made from.
    """
    if not (folder / FOLDER / COPIES).exists():
        with atomic(folder / FOLDER / COPIES) as part:
            part.write_text(SAID, encoding="utf-8")
    with unsaid():  # what is odd about a picture was said when the run read it
        return [_copy(original, folder / FOLDER) for original in originals]


def tidy(folder: Path, names: Sequence[str]) -> None:
    """Remove the copies that are not among ``names``, and the folder where nothing is left."""
    if not (folder / FOLDER / COPIES).exists():  # it is another hand's
        return
    kept = {*names} - {""}
    for path in (folder / FOLDER).glob("*.webp"):
        if path.name not in kept and re.fullmatch("[0-9a-f]{24}", path.stem):
            path.unlink()
    if not kept:
        (folder / FOLDER / COPIES).unlink()
    with suppress(OSError):  # something is left
        (folder / FOLDER).rmdir()
        (folder / FOLDER).parent.rmdir()


def _copy(original: Original, folder: Path) -> str:
    if original.result is None:
        return ""
    record = record_of(original.result)
    wanted = str((record.get("pixels") or ("", ""))[original.place])
    if re.fullmatch("[0-9a-f]{24}", wanted) and (folder / f"{wanted}.webp").exists():
        return f"{wanted}.webp"
    path = record.get(("content", "style")[original.place], original.path)
    try:
        with reading(original.result, "picture"), Image.open(original.result) as result:
            size = result.size[0]
        picture = square(read_picture(resolve(path)), size, record.get("data", {}).get("fit", "crop"))
    except (ImageError, OSError):  # it is not there any more
        return ""
    digest = sha256(picture.tobytes()).hexdigest()[:24]  # as ``pixels_digest`` has it
    if wanted and digest != wanted:
        return ""
    if not (folder / f"{digest}.webp").exists():
        with atomic(folder / f"{digest}.webp") as part:
            picture.save(part, format="WEBP", lossless=True, quality=0, method=0)
    return f"{digest}.webp"
