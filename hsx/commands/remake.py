"""``hsx remake``: pictures made again from their records alone, and whether they are the same."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from hsx.commands.show import full_record
from hsx.commands.streams import refused
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
    if len(paths) > 1:  # as in out/*.png
        for path in [path for path in paths if "sheet" in record_of(path)]:
            print(f"{path}: a contact sheet, left out", file=sys.stderr)
            paths.remove(path)
    places = _places(output, paths)
    quiet()
    wanted, code, same = [], 0, 0
    for path in paths:
        try:
            wanted.append(Wanted(path, full_record(str(path)), moved))
        except HsxError as error:
            code = refused(without_secrets(str(error)))
    for one, image in made_again(wanted, backbone):
        if isinstance(image, HsxError):
            code = refused(without_secrets(f"{one.picture}: {image}"))
            continue
        difference = compare(one, to_picture(image), places.get(one.picture))
        same += difference == SAME
        print(f"{one.picture}: {difference}", flush=True)
    if len(paths) != 1:
        print(f"{same} of {len(paths)} are byte-identical")
    return code or int(same < len(paths))


def compare(one: Wanted, picture: Image.Image, place: Path | None) -> str:
    """In which way the picture made again differs from the one that is there; it is kept at ``place``, if named."""
    with tempfile.TemporaryDirectory() as folder:
        new = place or Path(folder, "new.png")
        write_png(picture, new, {RECORD: png_text(one.picture, RECORD) or ""})
        if new.read_bytes() == one.picture.read_bytes():
            return SAME
    before = read_png(one.picture)
    if before.size != picture.size:
        return "differs in size: {} x {}, made again {} x {}".format(*before.size, *picture.size)
    apart = abs(np.asarray(before, int) - np.asarray(picture, int)).max(-1)
    if not apart.any():
        return "the same pixels in another file, as where it was saved anew or with another zlib"
    differ = f"{np.count_nonzero(apart)} of {apart.size} pixels differ, by at most {apart.max()} of 255"
    version, device = one.record.get("torch"), one.record["computed"].get("device")
    here = torch.cuda.get_device_name() if device != "cpu" and torch.cuda.is_available() else "cpu"
    if (version, device) == (torch.__version__, here):
        return differ
    return f"{differ}; it was made with torch {version} on {device}, here is torch {torch.__version__} on {here}"


def _places(output: str | None, pictures: list[Path]) -> dict[Path, Path]:
    """Where each new picture goes.  Raises HsxError where something is there already."""
    if output is None:
        return {}
    target = expanded(output, "--output")
    one_file = len(pictures) == 1 and target.suffix.lower() == ".png" and not target.is_dir()
    places = {path: target if one_file else target / path.name for path in pictures}
    existing = next((place for place in places.values() if place.exists()), None)
    if existing or len(set(places.values())) < len(pictures):
        found = f"{existing}, which exists already" if existing else "pictures of one name"
        raise HsxError(f"--output: expected new files, got {found}; name another folder")
    return places
