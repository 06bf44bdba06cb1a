"""``hsx show``: how a picture was made, from the picture alone."""

from __future__ import annotations

import json
from os.path import isdir, isfile
from pathlib import Path
from typing import Any

import yaml

from hsx.engine.record import record_of
from hsx.errors import HsxError

HELP = """usage: hsx show PICTURE [--json | --config]

How a picture that hsx made was made.

  --json    for programs
  --config  as a config that makes it again: hsx show PICTURE --config > again.yaml
            (hsx remake PICTURE does so at once, to the last bit)"""


def show(argv: list[str]) -> int:
    """``hsx show PICTURE [--json | --config]``: the pictures, the settings and the seed that it was made with."""
    paths = [word for word in argv if word not in ("--json", "--config")]
    if argv in (["-h"], ["--help"]):
        print(HELP)
        return 0
    if len(paths) != 1 or paths[0].startswith("-") or len(argv) > 2:
        raise HsxError(f"expected one picture, got {' '.join(argv) or 'none'}; see hsx show --help")
    record = known_record(paths[0])
    if "--json" in argv:
        print(json.dumps(record, indent=1, ensure_ascii=False))
    elif "--config" in argv:
        print(f"# Makes {record.get('name')} again: hsx predict --config THIS_FILE")
        print(_yaml(config_of(paths[0])))
    else:
        print(_yaml(record))
    return 0


def known_record(picture: str) -> dict[str, Any]:
    """The record in a picture.  Raises HsxError where there is none."""
    path = Path(picture).expanduser()
    record = record_of(path)
    if not record:
        found = "no record in it" if isfile(path) else "a folder" if isdir(path) else "nothing there"
        raise HsxError(f"{picture}: expected a picture that hsx made, found {found}; name one of a run's pictures")
    return record


def full_record(picture: str) -> dict[str, Any]:
    """A record with all that makes its picture again.  Raises HsxError where it lacks something."""
    record = known_record(picture)
    sections = "model", "data", "store", "trainer", "computed"
    texts = "name", "content", "style", "fingerprint", "settings_digest", "made"
    lacking = [name for name in sections if not isinstance(record.get(name), dict)]
    lacking += [name for name in texts if not isinstance(record.get(name), str)]
    if lacking:
        older = f"one of hsx {record.get('hsx')} without {lacking[0]}"
        found = "that of a contact sheet" if "sheet" in record else older
        raise HsxError(f"{picture}: expected a record that makes a picture again, got {found}; name one of a run's "
                       "pictures, or run its config.yaml again")
    return record


def config_of(picture: str) -> dict[str, Any]:
    """The config that makes a picture again.  Raises HsxError for a record that holds none."""
    record = full_record(picture)
    row = {name: record[name] for name in ("content", "style", "mask", "gamma", "seed") if record.get(name) is not None}
    cpu = {"accelerator": "cpu"} if record["computed"].get("device") == "cpu" else {}
    return {
        "seed_everything": record["model"].get("seed", 0), "output_dir": "outputs/remade",
        "model": {name: value for name, value in record["model"].items() if name != "seed"},
        "data": {"pairs": [{**row, "output": record["name"]}], **record["data"]},
        "store": record["store"], "trainer": {**record["trainer"], **cpu}}


def _yaml(value: dict[str, Any]) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).rstrip()
