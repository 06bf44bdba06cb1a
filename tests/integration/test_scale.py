"""Whole data sets over several processes, with nothing lost and nothing done twice."""

import json
import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import hsx
from hsx.assets import resolve
from hsx.cli import main
from hsx.runner.batches import PictureBatch
from hsx.runner.model import TransferModel
from hsx.runner.stages import Invert
from hsx.strategies import Constant, Frobenius, Latent, Slerp

from ..conftest import picture
from ..wild import wild_folder

FEW = ["--model.generation_steps", "5", "--model.inversion_steps", "4", "--model.t_boost", "0"]
TWO = ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", "ddp"]
ENV = {**os.environ, "OMP_NUM_THREADS": "1"}


def options(model, folder: Path, out="out", *more: str) -> list[str]:
    return [
        "predict",
        "--model.backbone",
        str(model),
        "--data.contents",
        str(folder / "contents"),
        "--data.styles",
        str(folder / "styles"),
        "--output_dir",
        str(folder / out),
        *FEW,
        *more,
    ]


def hsx_in_a_process(*argv: str, **more) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "hsx", *argv], capture_output=True, text=True, env=ENV, check=False, **more
    )


def pixels(folder: Path) -> dict[str, np.ndarray]:
    return {p.name: np.asarray(Image.open(p)).astype(int) for p in sorted(folder.glob("*__*.png"))}


def same(a: dict, b: dict) -> bool:
    """Equal to the rounding of a pixel: 1e-4 of the range may fall on its other side."""
    return a.keys() == b.keys() and all(abs(a[k] - b[k]).max() <= 1 for k in a)


def results(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


@pytest.fixture
def many(tmp_path):
    """4 contents and 5 styles."""
    for i in range(4):
        picture(tmp_path / "contents" / f"c{i}.png", i)
    for i in range(5):
        picture(tmp_path / "styles" / f"s{i}.png", 10 + i)
    return tmp_path


@pytest.mark.slow
def test_nine_inversions_and_twenty_injections_on_the_demo_model(tmp_path, capsys):
    """Counted by evaluations too: 10 steps make 9 an inversion, and a pair is 10, 4 of them with D once more."""
    for kind, n in (("contents", 4), ("styles", 5)):
        (tmp_path / kind).mkdir()
        for path in sorted(resolve(f"hsx://demo_faces/{kind}").iterdir())[:n]:
            (tmp_path / kind / path.name).write_bytes(path.read_bytes())
    argv = [
        "predict",
        "--model.backbone",
        "hsx://demo_faces",
        "--data.contents",
        str(tmp_path / "contents"),
        "--data.styles",
        str(tmp_path / "styles"),
        "--model.generation_steps",
        "10",
        "--model.inversion_steps",
        "10",
        "--model.injection_steps",
        "4",
        "--model.t_edit",
        "0",
        "--model.t_boost",
        "0",
    ]
    assert main([*argv, "--output_dir", str(tmp_path / "one")]) == 0
    out = capsys.readouterr().out
    assert "20 pictures made" in out and "\n9 pictures inverted" in out
    last = 1 / 2  # the last injection is at the step to the clean picture, which leaves the style's own D out
    assert f"{9 * 9 + 20 * (10 + 4 / 2 - last):.0f} evaluations of the network" in out
    ended = hsx_in_a_process(*argv, "--output_dir", str(tmp_path / "two"), *TWO)
    assert ended.returncode == 0, ended.stderr
    assert "20 pictures made" in ended.stdout and "\n9 pictures inverted, 311 evaluations" in ended.stdout
    assert same(pixels(tmp_path / "one"), pixels(tmp_path / "two")) and len(pixels(tmp_path / "two")) == 20


def test_seven_pairs_on_two_ranks(tiny_model, many):
    table = many / "pairs.csv"
    table.write_text("content,style\n" + "".join(f"contents/c{i % 4}.png,styles/s{i % 5}.png\n" for i in range(7)))
    argv = ["predict", "--model.backbone", str(tiny_model), "--data.pairs", str(table), *FEW]
    ended = hsx_in_a_process(*argv, "--output_dir", str(many / "two"), *TWO, "--data.batch_size", "2")
    assert ended.returncode == 0, ended.stderr
    assert "7 pictures made" in ended.stdout and "9 pictures inverted" in ended.stdout
    assert [line["status"] for line in results(many / "two")] == ["done"] * 7
    assert len(pixels(many / "two")) == 7 and len({line["name"] for line in results(many / "two")}) == 7
    assert main([*argv, "--output_dir", str(many / "one")]) == 0
    assert same(pixels(many / "one"), pixels(many / "two"))


def test_more_devices_than_items(tiny_model, many):
    argv = options(tiny_model, many)
    for kind in ("contents", "styles"):
        argv[argv.index(f"--data.{kind}") + 1] += f"/{kind[0]}0.png"
    ended = hsx_in_a_process(*argv, *TWO[:3], "3", *TWO[4:])
    assert ended.returncode == 0 and "1 picture made" in ended.stdout, ended.stderr


def whole(folder: Path) -> set[str]:
    """All that a finished run leaves, but for its trajectories' names."""
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def comparable(folder: Path) -> list[dict]:
    return [{k: v for k, v in line.items() if k not in ("seconds", "device")} for line in results(folder)]


def kill_at_random(argv: list[str], folder: Path, moments: list[float]) -> None:
    """Start, kill the whole process group after so many seconds, start again, …; at last let it finish."""
    made: dict[str, int] = {}
    for moment in moments:
        process = subprocess.Popen(
            [sys.executable, "-m", "hsx", *argv],
            env=ENV,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(moment)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        now = {p.name: p.stat().st_mtime_ns for p in folder.glob("*__*.png")}
        assert all(now.get(name) == when for name, when in made.items())  # nothing that was finished is made again
        made = now
    ended = hsx_in_a_process(*argv)
    assert ended.returncode == 0, ended.stderr
    assert all((folder / name).stat().st_mtime_ns == when for name, when in made.items())


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_killed_at_twenty_random_moments(tiny_model, many, processes):
    rng = random.Random(processes)
    slow = ["--model.generation_steps", "150", "--data.batch_size", "2", *(TWO if processes == 2 else [])]
    assert hsx_in_a_process(*options(tiny_model, many, "whole", *slow)).returncode == 0
    kill_at_random(
        options(tiny_model, many, "killed", *slow),
        many / "killed",
        [rng.uniform(0, 25 if processes == 2 else 15) for _ in range(20)],
    )
    assert whole(many / "killed") == whole(many / "whole")
    assert same(pixels(many / "killed"), pixels(many / "whole")) and len(pixels(many / "whole")) == 20
    assert comparable(many / "killed") == comparable(many / "whole")


def test_killed_once_and_started_again(tiny_model, many):
    slow = ["--model.generation_steps", "60", "--data.batch_size", "2"]
    assert main(options(tiny_model, many, "whole", *slow)) == 0
    process = subprocess.Popen([sys.executable, "-m", "hsx", *options(tiny_model, many, "killed", *slow)], env=ENV)
    while process.poll() is None and len(list((many / "killed").glob("*__*.png"))) < 5:
        time.sleep(0.01)
    process.kill()
    process.wait()
    left_over = f".{re.sub(r'[^A-Za-z0-9]', '-', socket.gethostname())}-{process.pid}-x.part"
    (many / "killed" / left_over).write_text("of a killed writer")
    assert main(options(tiny_model, many, "killed", *slow)) == 0
    assert whole(many / "killed") == whole(many / "whole")
    assert same(pixels(many / "killed"), pixels(many / "whole"))
    assert comparable(many / "killed") == comparable(many / "whole")
    timed = [line for line in results(many / "killed") if line["seconds"] is not None]
    assert len(timed) >= 18  # the batch in flight was perhaps written, but its seconds not yet noted
    assert all(line["seconds"] > 0 and line["device"] == "cpu" for line in timed)


def test_two_hundred_files_of_which_sixty_are_bad(tiny_model, tmp_path, capsys):
    bad = wild_folder(tmp_path / "contents", 140, 60)
    picture(tmp_path / "styles" / "s.png", 1)
    assert main(options(tiny_model, tmp_path)) == 3
    said = capsys.readouterr()
    assert "140 pictures made" in said.out and "60 failed" in said.out and "Traceback" not in said.err
    lines = [json.loads(line) for line in (tmp_path / "out" / "failures.jsonl").read_text().splitlines()]
    reasons = {str(Path(line["content"]).relative_to(tmp_path / "contents")): line["reason"] for line in lines}
    assert reasons.keys() == bad.keys()
    assert all(word in reasons[name] and "\n" not in reasons[name].replace(name, "") for name, word in bad.items())
    assert sum(line["status"] == "done" for line in results(tmp_path / "out")) == 140
    assert main(options(tiny_model, tmp_path)) == 3
    assert "0 pictures made" in (out := capsys.readouterr().out) and "140 were there already, 60 failed" in out


def test_a_table_with_options_of_its_own_for_each_row(tiny_model, many, capsys):
    Image.linear_gradient("L").save(many / "mask.png")
    table = many / "pairs.jsonl"
    rows = [
        {"content": "contents/c0.png", "style": "styles/s0.png"},
        {"content": "contents/c0.png", "style": "styles/s0.png", "gamma": 0.0, "output": "none/at all"},
        {"content": "contents/c0.png", "style": "styles/s0.png", "gamma": 0.9},
        {"content": "contents/c0.png", "style": "styles/s0.png", "mask": "mask.png"},
        {"content": "contents/c1.png", "style": "styles/s0.png", "seed": 7},
        {"content": "contents/c1.png", "style": "styles/s0.png", "seed": 8},
        {"content": "contents/c1.png", "style": "styles/s0.png", "gamma": 2},
        {"content": "contents/c1.png", "style": "styles/s0.png", "mask": "nowhere.png"},
        {"content": "contents/nowhere.png", "style": "styles/s0.png"},
        {"content": "contents/c1.png"},
        {"content": "contents/c1.png", "style": "styles/s0.png", "output": "../outside.png"},
    ]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    argv = [
        "predict",
        "--model.backbone",
        str(tiny_model),
        "--data.pairs",
        str(table),
        "--output_dir",
        str(many / "out"),
        *FEW[:-2],
        "--model.t_boost",
        "999",
        "--data.batch_size",
        "8",
    ]
    assert main(argv) == 3
    said = capsys.readouterr()
    assert "6 pictures made" in said.out and "5 failed" in said.out
    assert "gamma" in said.err and "nowhere.png" in said.err and "output" in said.err
    assert not list(many.glob("outside*"))
    made = {line["name"]: line for line in results(many / "out")}
    files = {
        name: np.asarray(Image.open(many / "out" / line["picture"])).astype(int)
        for name, line in made.items()
        if line["status"] == "done"
    }
    names = [line["name"] for line in results(many / "out")]
    assert {name[:7] for name in names[:6]} == {"c0__s0", "c0__s0~", "none/at", "c1__s0", "c1__s0~"} and set(
        names[:6]
    ) == files.keys()
    plain, c1 = files[names[0]], names[4:6]
    assert all(abs(files[names[i]] - plain).max() > 1 for i in (1, 2, 3))
    assert made[c1[0]]["seed"] == 7 and made[c1[1]]["seed"] == 8
    assert abs(files[c1[0]] - files[c1[1]]).max() > 1
    capsys.readouterr()
    assert main(["show", str(many / "out" / f"{names[2]}.png")]) == 0
    assert "gamma: 0.9" in (shown := capsys.readouterr().out) and "generation_steps: 5" in shown
    assert main(argv) == 3 and "0 pictures made" in capsys.readouterr().out


def test_random_pairing_and_a_list(tiny_model, many):
    (many / "list.txt").write_text("# three\ncontents/c2.png\ncontents/c0.png\n\ncontents/c1.png\n")
    argv = options(tiny_model, many, "out", "--data.pairing", "random", "--data.per_content", "2")
    argv[argv.index("--data.contents") + 1] = str(many / "list.txt")
    assert main(argv) == 0
    assert [line["content"].rpartition("/")[2] for line in results(many / "out")] == [
        "c2.png",
        "c2.png",
        "c0.png",
        "c0.png",
        "c1.png",
        "c1.png",
    ]


def test_trajectories_are_shared_by_runs_kept_within_bounds_and_made_again_when_corrupt(tiny_model, many, capsys):
    shared = ["--store.path", str(many / "shared")]
    assert main(options(tiny_model, many, "a", *shared)) == 0
    assert "9 pictures inverted" in capsys.readouterr().out and not (many / "a" / "trajectories").exists()
    assert main(options(tiny_model, many, "b", *shared, "--model.schedule.init_args.gamma", "0.9")) == 0
    assert "\n0 pictures inverted" in capsys.readouterr().out
    file = sorted((many / "shared").rglob("*.safetensors"))[0]
    data = bytearray(file.read_bytes())
    data[-9] ^= 1
    file.write_bytes(data)
    assert main(options(tiny_model, many, "c", *shared)) == 0
    out = capsys.readouterr().out
    assert "\n1 picture inverted" in out and "corrupt in the store, and made again: 1" in out
    assert same(pixels(many / "a"), pixels(many / "c"))
    for path in (many / "contents").iterdir():
        path.unlink()
    picture(many / "contents" / "new.png", 77)
    size = sum(p.stat().st_size for p in (many / "shared").rglob("*.safetensors"))
    assert main(options(tiny_model, many, "d", *shared, "--store.max_gb", str(size / 2e9))) == 0
    assert sum(p.stat().st_size for p in (many / "shared").rglob("*.safetensors")) <= size / 2
    assert len(pixels(many / "d")) == 5


def test_out_of_memory_halves_the_batch_and_says_so(tiny_model, caplog):
    model = TransferModel(str(tiny_model), Constant(0.5), Slerp(), Frobenius(), Latent(0.0), 4, 5, t_boost=0)
    module = Invert(model.transfer)
    images = torch.rand(7, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    batch = PictureBatch(list(range(7)), images, [""] * 7)
    plain = module.predict_step(batch).trajectory
    encode = module.backbone.encode

    def cramped(x, t):
        if len(x) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encode(x, t)

    module.backbone.encode = cramped
    halved = module.predict_step(batch).trajectory
    torch.testing.assert_close(halved.x_T, plain.x_T, rtol=1e-3, atol=1e-3)
    assert module.limit == 1 and "out of memory with 7 pictures at once; going on with 3" in caplog.text
    module.limit = None

    def none(x, t):
        raise torch.OutOfMemoryError("CUDA out of memory")

    module.backbone.encode = none
    with pytest.raises(hsx.HsxError, match="memory: expected room for one picture at a time"):
        module.predict_step(batch)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_full_disk_ends_the_run_with_what_was_finished(tiny_model, many, processes):
    """A limit on the size of files stands for the full disk: the store's cannot be written."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    two = TWO if processes == 2 else []
    begun = time.monotonic()
    ended = hsx_in_a_process(*options(tiny_model, many), *two, preexec_fn=limit, timeout=120)
    assert ended.returncode == 2 and "Traceback" not in ended.stderr and time.monotonic() - begun < 60
    assert "could not" in ended.stderr and "start again to go on" in ended.stderr
    assert not list((many / "out").rglob("*.part"))
    assert main(options(tiny_model, many)) == 0 and len(pixels(many / "out")) == 20


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_two_processes_are_stopped_within_seconds(tiny_model, many, how):
    argv = options(tiny_model, many, "out", *TWO, "--model.generation_steps", "300", "--data.batch_size", "1")
    process = subprocess.Popen([sys.executable, "-m", "hsx", *argv], env=ENV, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and len(list((many / "out").glob("*__*.png"))) < 2:
        time.sleep(0.05)
    process.send_signal(how)
    begun = time.monotonic()
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and time.monotonic() - begun < 30
    assert said.count("stopped; what is finished is kept, start again to go on") == 1 and "Traceback" not in said
    deadline = time.monotonic() + 20
    while children(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not children(process.pid)


def children(pid: int) -> list[str]:
    """Commands of hsx that were started by a process or its children and still run."""
    listed = subprocess.run(["ps", "-eo", "ppid,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if line.split()[:1] == [str(pid)] and "hsx" in line]


@pytest.mark.slow
def test_memory_stays_level_over_ten_thousand_pairs(tiny_model, tmp_path):
    code = """
import sys, resource
from hsx.cli import main
from hsx.runner.writers import PictureWriter
seen, made = {}, 0
before = PictureWriter.write
def counting(self, result, batch, machine):
    global made
    out = before(self, result, batch, machine)
    made += len(out)
    for mark in (1000, 10000):
        if made >= mark and mark not in seen:
            seen[mark] = int(open("/proc/self/statm").read().split()[1])
    return out
PictureWriter.write = counting
code = main(sys.argv[1:])
print("RSS", seen[1000], seen[10000], code)
"""
    for i in range(100):
        picture(tmp_path / "contents" / f"c{i}.png", i)
        picture(tmp_path / "styles" / f"s{i}.png", 1000 + i)
    argv = [*options(tiny_model, tmp_path), "--data.batch_size", "50", "--model.generation_steps", "3"]
    ended = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, env=ENV, check=False)
    assert ended.returncode == 0, ended.stderr
    word, first, last, status = ended.stdout.split()[-4:]
    assert (word, status) == ("RSS", "0") and int(last) < 1.05 * int(first)
    assert len(list((tmp_path / "out").glob("grid*.png"))) == 25
