"""The output folder: what is never mixed, never replaced, and never taken for a content."""

import json
import os
import signal
import subprocess
import sys

import pytest
from PIL import Image

from hsx.cli import main
from hsx.runner.lock import held

from ..conftest import picture
from .test_scale import ENV, options


@pytest.fixture
def few(tmp_path):
    """2 contents and 1 style."""
    for kind, n in (("contents", 2), ("styles", 1)):
        for i in range(n):
            picture(tmp_path / kind / f"{kind[0]}{i}.png", 10 * n + i)
    return tmp_path


def test_another_precision_is_another_setting(tiny_model, few, capsys):
    shared = "--store.path", str(few / "store")
    assert main(options(tiny_model, few, "out", *shared)) == 0
    assert main(options(tiny_model, few, "out", *shared, "--trainer.precision", "bf16-mixed")) == 2
    assert "2 of others" in capsys.readouterr().err
    assert main(options(tiny_model, few, "half", *shared, "--trainer.precision", "bf16-mixed")) == 0
    assert "3 pictures inverted" in capsys.readouterr().out
    assert main(["show", str(few / "half" / "c0__s0.png"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trainer"]["precision"] == "bf16-mixed"


MINE = ["config.yaml", "grid.png", "results.jsonl", "failures.jsonl", "report.html", "c0__s0.png"]


@pytest.mark.parametrize("name", MINE)
def test_what_another_hand_wrote_is_not_replaced(tiny_model, few, capsys, name):
    out = few / "out"
    out.mkdir()
    if name == "grid.png":
        picture(out / name, 1)
    else:
        (out / name).write_text("# my notes\nmodel: mine\n")
    mine = (out / name).read_bytes()
    assert main(options(tiny_model, few)) == 2
    error = capsys.readouterr().err
    told = "(1 not made by hsx), such as c0__s0.png" if "__" in name else f"{out / name}, which it did not make"
    assert told in error and error.count("\n") == 1
    assert [p.name for p in out.iterdir() if p.is_file()] == [name] and (out / name).read_bytes() == mine
    assert main(options(tiny_model, few, "out", "--overwrite", "true")) == 0
    assert main(options(tiny_model, few)) == 0  # it is hsx's now


@pytest.mark.parametrize("name", ["results.jsonl", "c0__s0.png", ".unfinished", "report"])
def test_what_is_in_the_way_is_named(tiny_model, few, capsys, name):
    (few / "out" / name).mkdir(parents=True)
    if name in (".unfinished", "report"):
        (few / "out" / name).rmdir()
        (few / "out" / name).write_text("mine")
    assert main(options(tiny_model, few, "out", "--overwrite", "true")) == 2
    error = capsys.readouterr().err
    assert f"for {few / 'out' / name} is in the way" in error and error.count("\n") == 1


def test_two_runs_at_once_do_not_mix(tiny_model, few, capsys):
    out = few / "out"
    out.mkdir()
    with held(out):
        worker = os.fork()
        if not worker:  # a loader worker that outlives its run
            signal.pause()
        assert main(options(tiny_model, few, "out", "--overwrite", "true")) == 2
    error = capsys.readouterr().err
    assert f"got {out}, where one is at this moment; wait for its end" in error and error.count("\n") == 1
    assert not list(out.iterdir())
    assert main(options(tiny_model, few)) == 0
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)


def test_results_are_not_taken_for_contents(tiny_model, few, capsys):
    argv = options(tiny_model, few, "contents/out")
    assert main(argv) == 0
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert "expected pictures that are no results in output_dir, got" in error and error.count("\n") == 1
    (few / "contents" / "out").rename(few / "out")
    assert main(options(tiny_model, few)) == 0
    assert "2 were there already" in capsys.readouterr().out


@pytest.mark.parametrize(
    "damage",
    [
        b"\n",
        b"\0\0\n",
        b"precious",
        b'{"name": 1',
        b"[]\n",
        b"\xff\xfe\n",
        b'{"name": [1], "status": "done", "seconds": 1.5, "device": "cpu"}\n',
        b"[" * 99999,
    ],
)
def test_a_damaged_list_of_results_is_written_anew(tiny_model, few, damage):
    assert main(options(tiny_model, few)) == 0
    results = few / "out" / "results.jsonl"
    whole = results.read_text()
    results.write_bytes(whole.encode() + damage)
    assert main(options(tiny_model, few)) == 0
    assert results.read_text() == whole


def test_sheets_of_more_pairs_go(tiny_model, few):
    for i in range(30):
        picture(few / "contents" / f"more{i}.png", 100 + i)
    assert main(options(tiny_model, few)) == 0
    assert (few / "out" / "grid-2.png").exists()
    for path in (few / "contents").glob("more*.png"):
        path.unlink()
    picture(few / "out" / "grid-3.png", 1)  # of another hand
    assert main(options(tiny_model, few, "out", "--overwrite", "true")) == 0
    assert {p.name for p in (few / "out").glob("grid*")} == {"grid.png", "grid-3.png"}
    with Image.open(few / "out" / "grid.png") as sheet:
        assert sheet.size == (2 * 98 + 2, 3 * 98 + 2)


FULL = "hsx: error: expected to write, could not (No space left on device); free some space\n"


@pytest.mark.parametrize(
    "command, where, code",
    [
        ("show {} >&-", "", 0),
        ("show {} >&- 2>&- <&-", "", 0),
        ("nix 2>&-", "", 2),
        ("nix 2>/dev/full", "", 2),
        ("show {} >/dev/full", FULL, 2),
        ("--help >/dev/full", FULL, 2),
    ],
)
def test_streams_that_are_closed_or_full(tiny_model, few, command, where, code):
    assert main(options(tiny_model, few)) == 0
    done = subprocess.run(
        f"{sys.executable} -m hsx {command.format(few / 'out' / 'c0__s0.png')}",
        shell=True,
        env=ENV,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, where)


def test_a_run_whose_output_is_closed_ends_well(tiny_model, few):
    code = "import os, sys; os.close(1); sys.stdout = None; from hsx.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, *options(tiny_model, few)], env=ENV, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert (few / "out" / "results.jsonl").read_text().count("\n") == 2


def test_nobody_reads_the_summary(tiny_model, few):
    with open("/dev/full", "w") as full:
        run = subprocess.run(
            [sys.executable, "-m", "hsx", *options(tiny_model, few)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=ENV,
            check=False,
        )
    assert run.returncode == 0 and run.stderr == ""
    assert (few / "out" / "results.jsonl").read_text().count('"done"') == 2


def test_a_process_that_is_killed_by_another_is_one_line(tiny_model, few):
    config = few / "kill.py"
    config.write_text(
        "import os, signal, sys\nfrom hsx.io import images\nfrom hsx.runner import items as datamodule\n"
        "datamodule.read_image = lambda *given: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from hsx.cli import main\nsys.exit(main(sys.argv[1:]))\n"
    )
    run = subprocess.run(
        [sys.executable, str(config), *options(tiny_model, few, "out", "--data.num_workers", "1")],
        capture_output=True,
        text=True,
        env=ENV,
        check=False,
    )
    assert run.returncode == 2 and "a process of this run was ended from outside" in run.stderr
    assert "Traceback" not in run.stderr
