"""Loader workers however they are started: forked, spawned (macOS, Windows) or by a fork server (Python 3.14)."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from hsx.io.images import pixels_digest, read_image
from hsx.runner.batches import PairItem, PictureItem
from hsx.runner.data import Pairs
from hsx.runner.items import Pictures, Taken, Trajectories
from hsx.store.fingerprints import Fingerprints
from hsx.store.records import Recorder
from hsx.store.trajectories import Store

from ..conftest import picture
from .test_scale import ENV, FEW, options, pixels, same

START = (
    "import multiprocessing, sys\nif __name__ == '__main__':\n    multiprocessing.set_start_method({how!r})\n"
    "    from hsx.cli import main\n    sys.exit(max([main(argv) for argv in {runs!r}]))\n"
)
ROWS = [
    {"content": "contents/c0.png", "style": "styles/s0.png", "mask": "mask.png"},
    {"content": "contents/c1.png", "style": "styles/s1.png", "gamma": 0.9, "seed": 3, "output": "x/y"},
    {"content": "contents/c2.png", "style": "styles/s1.png"},
]
KINDS = ["product", "zip", "random", "csv", "tsv", "jsonl", "parquet"]


def table(folder, kind):
    Image.linear_gradient("L").save(folder / "mask.png")
    path = folder / f"pairs.{kind}"
    columns = ["content", "style", "mask", "gamma", "seed", "output"]
    if kind == "parquet":
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        pq.write_table(pa.table({c: [row.get(c) for row in ROWS] for c in columns}), path)
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    else:
        mark = {"csv": ",", "tsv": "\t"}[kind]
        path.write_text(
            "".join(
                mark.join(map(str, line)) + "\n"
                for line in (columns, *([row.get(c, "") for c in columns] for row in ROWS))
            )
        )
    return path


def paired(folder, kind) -> dict[str, str]:
    """The options of ``data`` of a kind of pairs."""
    if kind not in ("product", "zip", "random"):
        return {"pairs": str(table(folder, kind))}
    contents = folder / "contents" / "c[01].png" if kind == "zip" else folder / "contents"  # as many as styles
    return {"contents": str(contents), "styles": str(folder / "styles"), "pairing": kind}


def argv_of(model, folder, kind, out, *more) -> list[str]:
    data = [word for name, value in paired(folder, kind).items() for word in (f"--data.{name}", value)]
    return ["predict", "--model.backbone", str(model), *data, "--output_dir", str(folder / out), *FEW, *more]


def started(folder, how, runs, **more):
    """A process that makes runs, its workers started ``how``."""
    script = folder / "start.py"
    script.write_text(START.format(how=how, runs=runs))
    return subprocess.Popen(
        [sys.executable, str(script)], env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )


@pytest.mark.parametrize("kind", KINDS)
def test_what_workers_are_given_is_picklable_and_small(tiny_model, pictures, kind):
    data = Pairs(**paired(pictures, kind))
    pairs, store = data.pairs, Store(pictures / "store")
    numbers = np.arange(len(pairs.contents) + len(pairs.styles))
    paths = [*pairs.contents, *pairs.styles]
    digests = {int(n): pixels_digest(read_image(paths[n], 16)) for n in numbers}
    fingerprints = Fingerprints("settings", {"network": "network"}, "32-true", "float16", "crop")
    recorder = Recorder(pairs, digests, {}, "network", fingerprints, 0)
    for n, digest in digests.items():
        store.put(fingerprints.trajectory(digest), read_image(paths[n], 16), {"h": read_image(paths[n], 16)[None]}, [0])
    todo = np.arange(len(pairs))
    for items in (
        Pictures(numbers, 1, pairs, 16, "crop"),
        Trajectories(todo, 1, store, recorder, 16, Taken(True, ("h",), False)),
    ):
        sent = pickle.dumps(items)
        assert len(sent) < 5000
        again = pickle.loads(sent)
        assert len(again) == len(items)
        for i in range(len(items)):
            ours, theirs = items[i], again[i]
            assert isinstance(ours, (PairItem, PictureItem)) and type(ours) is type(theirs)
            assert all(
                getattr(ours, k) == getattr(theirs, k) for k in ("index", "record", "pixels") if hasattr(ours, k)
            )


@pytest.mark.parametrize(
    "how, workers, kinds",
    [
        ("spawn", "1", ["jsonl"]),
        ("forkserver", "2", ["product"]),
        *(pytest.param(*each, KINDS, marks=pytest.mark.slow) for each in (("spawn", "2"), ("forkserver", "1"))),
    ],
)
def test_workers_that_are_started_anew_make_the_same(tiny_model, pictures, how, workers, kinds):
    runs = [
        argv_of(tiny_model, pictures, kind, f"{kind}-{n}", "--data.num_workers", n, "--data.batch_size", "2")
        for kind in kinds
        for n in ("0", workers)
    ]
    process = started(pictures, how, runs)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0 and "Traceback" not in err, err
    for kind in kinds:
        assert same(*(pixels(pictures / f"{kind}-{n}") for n in ("0", workers)))
        assert list((pictures / f"{kind}-0").rglob("*.png"))


@pytest.mark.parametrize(
    "how, stop",
    [
        ("fork", signal.SIGTERM),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in (
                ("spawn", signal.SIGINT),
                ("fork", signal.SIGINT),
                ("spawn", signal.SIGTERM),
                ("forkserver", signal.SIGINT),
                ("forkserver", signal.SIGTERM),
            )
        ),
    ],
)
def test_ctrl_c_with_workers_is_one_line(tiny_model, pictures, how, stop):
    """From the keyboard it comes to all processes at once."""
    for i in range(30):
        picture(pictures / "contents" / f"more{i}.png", 100 + i)
    argv = options(
        tiny_model,
        pictures,
        "out",
        "--data.num_workers",
        "2",
        "--data.batch_size",
        "1",
        "--model.generation_steps",
        "300",
    )
    process = started(pictures, how, [argv], start_new_session=True)
    begun = time.monotonic()
    while process.poll() is None and not list(pictures.glob("out/*__*.png")) and time.monotonic() - begun < 60:
        time.sleep(0.05)
    (os.killpg if stop == signal.SIGINT else os.kill)(process.pid, stop)
    begun = time.monotonic()
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and time.monotonic() - begun < 10
    assert said == "hsx: stopped; what is finished is kept, start again to go on\n"
