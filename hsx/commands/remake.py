"""``hsx remake``: pictures made again from their records alone, and whether they are the same."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from hsx.commands.show import full_record
from hsx.commands.trust import register
from hsx.errors import HsxError, expanded
from hsx.io.images import to_picture
from hsx.io.png import png_text, read_png, write_png
from hsx.io.urls import without_secrets
from hsx.runner.remake import Wanted
from hsx.runner.remake import remake as made_again
from hsx.runner.trainer import quiet
from hsx.store.records import RECORD, record_of

SAME = "byte-identical"


def remake(
    *pictures: str,
    content: str | None = None,
    style: str | None = None,
    mask: str | None = None,
    backbone: str | None = None,
    output: str | None = None,
    trust: str = "",
) -> int:
    """Make pictures again from their records alone, and say whether they are byte-identical.

    Exit code 1 if some are not, 2 if some could not be made.

    Args:
        pictures: Pictures that hsx made.
        content: Where the content is now, a file, or the folder that it is in.
        style: Where the style is now, likewise.
        mask: Where the mask is now, likewise.
        backbone: Where the network is now.
        output: Where the new pictures go, a file or a folder; by default nowhere.
        trust: Modules of yours whose strategies may be made, with commas between.
    """
    register(trust.split(",") if trust else [])
    moved = {of: place for of, place in (("content", content), ("style", style), ("mask", mask)) if place}
    paths = [expanded(name, "picture") for name in pictures]
    if len(paths) > 1:
        paths = [path for path in paths if not _is_sheet(path)]
    places = _places(output, paths)
    quiet()
    wanted, refused, same = [], 0, 0
    for path in paths:
        try:
            wanted.append(Wanted(path, full_record(str(path)), moved))
        except HsxError as error:
            refused += _refuse(str(error))
    for one, image in made_again(wanted, backbone):
        if isinstance(image, HsxError):
            refused += _refuse(f"{one.picture}: {image}")
            continue
        difference = compare(one, to_picture(image), places.get(one.picture))
        same += difference == SAME
        print(f"{one.picture}: {difference}", flush=True)
    if len(paths) != 1:
        print(f"{same} of {len(paths)} are byte-identical")
    return 2 if refused else 0 if same == len(paths) else 1


def _refuse(error: str) -> int:
    """Print why one picture could not be made; the others are."""
    print(f"hsx: error: {without_secrets(error)}", file=sys.stderr, flush=True)
    return 1


def _is_sheet(path: Path) -> bool:
    """Whether this is a contact sheet, as in ``out/*.png``; it is then said to be left out."""
    found = "sheet" in record_of(path)
    if found:
        print(f"{path}: a contact sheet, left out", file=sys.stderr)
    return found


def compare(one: Wanted, picture: Image.Image, place: Path | None) -> str:
    """In which way the picture made again differs from the one that is there; it is kept at ``place``, if named."""
    with tempfile.TemporaryDirectory() as folder:
        new = place or Path(folder, "new.png")
        write_png(picture, new, {RECORD: png_text(one.picture, RECORD) or ""})
        if new.read_bytes() == one.picture.read_bytes():
            return SAME
    before, after = (np.asarray(each).astype(int) for each in (read_png(one.picture), picture))
    if before.shape != after.shape:
        return f"differs in size: {before.shape[1]} x {before.shape[0]}, made again {after.shape[1]} x {after.shape[0]}"
    apart = abs(before - after).max(-1)
    if not apart.any():
        return "the same pixels in another file, as where it was saved anew or with another zlib"
    differ = f"{np.count_nonzero(apart)} of {apart.size} pixels differ, by at most {apart.max()} of 255"
    return differ + _where(one.record)


def _where(record: dict[str, Any]) -> str:
    """Why that may be so."""
    version, device = record.get("torch"), record["computed"].get("device")
    here = torch.cuda.get_device_name() if device != "cpu" and torch.cuda.is_available() else "cpu"
    if (version, device) == (torch.__version__, here):
        return ""
    return f"; it was made with torch {version} on {device}, here is torch {torch.__version__} on {here}"


def _places(output: str | None, pictures: list[Path]) -> dict[Path, Path]:
    """Where each new picture goes.  Raises HsxError where something is there already."""
    if output is None:
        return {}
    target = expanded(output, "--output")
    one_file = len(pictures) == 1 and target.suffix.lower() == ".png" and not target.is_dir()
    places = {path: target if one_file else target / path.name for path in pictures}
    existing = [place for place in places.values() if place.exists()]
    twice = len(set(places.values())) < len(pictures)
    if existing or twice:
        found = f"{existing[0]}, which exists already" if existing else "pictures of one name"
        raise HsxError(f"--output: expected new files, got {found}; name another folder")
    return places
