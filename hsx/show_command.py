"""``hsx show``: how a picture was made, from the picture alone."""

from __future__ import annotations

import json
from os.path import isdir, isfile

import yaml

from hsx.engine.record import record_of
from hsx.errors import HsxError, expanded


def show(argv: list[str]) -> int:
    """``hsx show PICTURE [--json]``: the pictures, the settings and the seed that it was made with."""
    paths = [word for word in argv if word != "--json"]
    if argv in (["-h"], ["--help"]):
        print("usage: hsx show PICTURE [--json]\n\nHow a picture that hsx made was made.")
        return 0
    if len(paths) != 1 or paths[0].startswith("-"):
        raise HsxError(f"expected one picture, got {' '.join(argv) or 'none'}; see hsx show --help")
    picture = expanded(paths[0], "picture")
    record = record_of(picture)
    if not record:
        found = "no record in it" if isfile(picture) else "a folder" if isdir(picture) else "nothing there"
        raise HsxError(f"{paths[0]}: expected a picture that hsx made, found {found}; name one of a run's pictures")
    print(json.dumps(record, indent=1, ensure_ascii=False) if "--json" in argv
          else yaml.safe_dump(record, sort_keys=False, allow_unicode=True).rstrip())
    return 0
