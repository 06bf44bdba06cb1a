"""``hsx evaluate``: numbers as computed elsewhere, kept and not computed twice, and one line for what is wrong."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow
import pytest
import torch
from PIL import Image
from pyarrow import parquet
from torchmetrics.functional.image import structural_similarity_index_measure as ssim

from hsx.cli import main
from hsx.metrics import SSIM, Palette, fitness
from hsx.plugins import registry as plugins
from hsx.runner.evaluation import evaluate, of_run
from hsx.runner.lock import held
from hsx.runner.trainer import make_trainer

from ..conftest import picture
from .test_predict import options

PLUGIN = '''
import os
from pathlib import Path

import torch

from hsx import hookimpl
from hsx.metrics.base import Metric, MeanMetric


class Redness(MeanMetric):
    """How red the result is; it says how many rows it has looked at."""

    about, takes, higher_is_better = "style", ("result",), True

    def each(self, result):
        with Path(os.environ["LOOKED"]).open("a") as file:
            file.write("x" * len(result))
        if os.environ.get("SLOWLY"):
            import time
            time.sleep(0.2)
        return result[:, 0].mean((1, 2))


class Brightest(Metric):
    """The brightest pixel of the whole set."""

    about, takes, higher_is_better = "realism", ("result",), True

    def __init__(self):
        super().__init__()
        self.add_state("best", torch.tensor(-9.0), dist_reduce_fx="max")

    def update(self, result):
        self.best = torch.maximum(self.best, result.max())

    def compute(self):
        return self.best


class Raising(MeanMetric):
    """Raises."""

    takes = ("result",)

    def each(self, result):
        return 1 / 0


class Flat(MeanMetric):
    """One number for all."""

    takes = ("result",)

    def each(self, result):
        return result.mean()


class Gaps(MeanMetric):
    """No number for what is dark."""

    takes, higher_is_better = ("result",), True

    def each(self, result):
        numbers = result.mean((1, 2, 3))
        return torch.where(numbers < numbers.max(), numbers, torch.nan)


class Nothing(MeanMetric):
    """Never a number."""

    takes = ("result",)

    def each(self, result):
        return torch.full((len(result),), torch.nan)


class Refusing(MeanMetric):
    """Cannot be made."""

    takes = ("result",)

    def __init__(self):
        raise OSError("no such thing")

    def each(self, result):
        return result.mean((1, 2, 3))


class Back(MeanMetric):
    """How far the style given back is from the style."""

    about, takes, higher_is_better = "inversion", ("reconstruction", "style"), False

    def each(self, reconstruction, style):
        return (reconstruction - style).abs().mean((1, 2, 3))


class Apart(MeanMetric):
    """How far the result is from the truth."""

    about, takes, higher_is_better = "truth", ("result", "truth"), False

    def each(self, result, truth):
        return (result - truth).abs().mean((1, 2, 3))


class Looking(MeanMetric):
    """Through a network."""

    takes = ("result",)

    def __init__(self, network="none"):
        super().__init__()
        self.network = network

    def each(self, result):
        return torch.full((len(result),), float(len(self.network)))


@hookimpl
def hsx_metrics():
    return [Redness, Brightest, Raising, Flat, Gaps, Nothing, Refusing, Back, Apart, Looking]
'''


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """An installed package of measures: where it is."""
    site = tmp_path_factory.mktemp("site")
    (site / "odd_measures.py").write_text(PLUGIN)
    about = site / "odd_measures-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-measures\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[hsx]\nodd = odd_measures\n")
    return site


@pytest.fixture
def looked(plugin, tmp_path, monkeypatch):
    """With the package: how many rows Redness has looked at since the last call."""
    monkeypatch.syspath_prepend(str(plugin))
    monkeypatch.setenv("PYTHONPATH", f"{plugin}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("LOOKED", str(tmp_path / "looked"))
    plugins.load.cache_clear()

    def since() -> int:
        file = tmp_path / "looked"
        size = file.stat().st_size if file.exists() else 0
        file.write_text("")
        return size

    yield since
    plugins.load.cache_clear()


@pytest.fixture(scope="module")
def once(tmp_path_factory, tiny_model) -> Path:
    """A run of 3 contents and 2 styles."""
    folder = tmp_path_factory.mktemp("once")
    for i in range(3):
        picture(folder / "contents" / f"c{i}.png", i)
    for i in range(2):
        picture(folder / "styles" / f"s{i}.png", 10 + i)
    assert main(options(tiny_model, folder)) == 0
    return folder


@pytest.fixture
def made(once, tmp_path) -> Path:
    """A copy of its results."""
    shutil.copytree(once / "out", tmp_path / "out", ignore=shutil.ignore_patterns("trajectories"))
    return tmp_path / "out"


def table(folder: Path) -> dict:
    return parquet.read_table(folder / "metrics.parquet").to_pydict()


def summary(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def refused(capsys, *argv) -> str:
    assert main(["evaluate", *map(str, argv)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("hsx: error: ") and said.count("\n") == 1 and "; " in said, said
    return said


def tensor(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.asarray(Image.open(path).convert("RGB")) / 127.5 - 1).permute(2, 0, 1)[None].float()


def test_each_number_is_that_of_an_independent_computation(made, once, capsys):
    assert main(["evaluate", str(made)]) == 0
    found = table(made)
    assert [*found][:3] == ["name", "content", "style"] and len(found["name"]) == 6
    for i, name in enumerate(found["name"]):
        content, _, style = name.partition("__")
        assert found["content"][i] == str(once / "contents" / f"{content}.png")
        assert found["style"][i] == str(once / "styles" / f"{style}.png")
        pair = [
            (tensor(path) * torch.tensor([0.299, 0.587, 0.114]).reshape(3, 1, 1)).sum(1, keepdim=True)
            for path in (made / f"{name}.png", once / "contents" / f"{content}.png")
        ]
        assert found["SSIM"][i] == pytest.approx(float(ssim(*pair, data_range=2.0)), abs=1e-6)
    numbers, rng = np.array(found["SSIM"]), np.random.default_rng(0)
    means = sorted(numbers[rng.integers(6, size=6)].mean() for _ in range(1000))
    said = summary(made)["measures"]["SSIM"]
    assert said["mean"] == pytest.approx(numbers.mean()) and said["n"] == 6
    assert means[23] <= said["low"] <= means[26] and means[973] <= said["high"] <= means[976]
    assert said["about"] == "content" and said["higher_is_better"] is True
    known = fitness.known()
    assert {n: m["fit"] for n, m in summary(made)["measures"].items()} == {n: known[n] for n in [*found][3:]}
    out = capsys.readouterr().out
    assert "SSIM" in out and "Palette" in out and "↑" in out and "6 rows measured, 0 failed" in out
    assert {path.name for path in made.iterdir()} - {path.name for path in (once / "out").iterdir()} == {
        "metrics.json",
        "metrics.parquet",
        ".measured",
    }


def test_no_number_depends_on_the_batch_and_none_is_computed_twice(made, looked, capsys):
    argv = ["evaluate", str(made), "--metrics", "SSIM,Palette,Redness,Brightest"]
    assert main([*argv, "--batch_size", "1"]) == 0 and looked() == 6
    one, whole = table(made), summary(made)["measures"]["Brightest"]
    assert whole["low"] is None and whole["mean"] == pytest.approx(
        max(float(tensor(p).max()) for p in made.glob("c*__*.png"))
    )
    assert main([*argv, "--batch_size", "4"]) == 0 and looked() == 0
    assert table(made) == one and "Brightest" not in one
    shutil.rmtree(made / ".measured")
    capsys.readouterr()
    assert main([*argv, "--batch_size", "4", "--json"]) == 0 and looked() == 6
    four = table(made)
    assert json.loads(capsys.readouterr().out) == summary(made)
    assert all(np.allclose(one[name], four[name], atol=1e-6) for name in ("SSIM", "Palette", "Redness"))


def test_what_has_changed_is_measured_again(made, looked):
    argv = ["evaluate", str(made), "--metrics", "Redness", "--batch_size", "2"]
    assert main(argv) == 0 and looked() == 6
    journal = made / ".measured" / "0.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text(lines[0] + lines[1][:30])  # as a kill leaves it
    assert main(argv) == 0 and looked() == 4
    Image.new("RGB", (16, 16), "red").save(made / "c1__s0.png")
    assert main(argv) == 0 and looked() == 1
    assert table(made)["Redness"][table(made)["name"].index("c1__s0")] == pytest.approx(1)
    assert main([*argv, "--size", "8"]) == 0 and looked() == 6


def test_a_measure_that_breaks_is_left_out_alone(made, looked, capsys):
    assert main(["evaluate", str(made), "--networks", "Looking=abc"]) == 0
    said = capsys.readouterr()
    found = summary(made)
    assert found["measures"].keys() >= {"SSIM", "Palette", "Redness", "Brightest", "Gaps", "Looking"}
    assert found["measures"]["Looking"]["mean"] == 3
    assert found["skipped"]["Raising"] == "ZeroDivisionError: division by zero"
    assert "expected a number a row, (6,), got shape ()" in found["skipped"]["Flat"]
    assert found["skipped"]["Nothing"] == "no row has a finite number"
    assert found["skipped"]["Refusing"] == "OSError: no such thing"
    assert "truth" in found["skipped"]["Apart"] and "inversion" in found["skipped"]["Back"]
    assert "left out: Raising: ZeroDivisionError" in said.err and "Traceback" not in said.err
    assert "Gaps: no finite number for 1 of the rows" in said.err and found["measures"]["Gaps"]["n"] == 5
    assert table(made)["Gaps"].count(None) == 1
    assert main(["evaluate", str(made), "--metrics", "Looking"]) == 0
    assert summary(made)["measures"].keys() == {"Looking"} and summary(made)["skipped"] == {}


def test_styles_given_back(made, once, tiny_model, looked, capsys):
    """As with gamma = 0 and without the noise of t_boost; each style once."""
    assert main(["evaluate", str(made), "--metrics", "inversion"]) == 0
    found, pictures = summary(made)["measures"]["Back"], sorted((made / ".measured" / "styles").iterdir())
    assert found["n"] == 2 == len(pictures) and len(set(table(made)["Back"])) == 2
    assert found["mean"] == pytest.approx(np.mean([*{*table(made)["Back"]}]))
    zero = options(tiny_model, once, "zero", "--model.schedule.init_args.gamma", "0.0", "--model.t_boost", "0")
    assert main([*zero, "--data.pairs", "null"]) == 0
    for name, number in zip(table(made)["name"], table(made)["Back"], strict=True):
        style = once / "styles" / f"{name.partition('__')[2]}.png"
        apart = (tensor(once / "zero" / f"{name}.png") - tensor(style)).abs().mean()
        assert number == pytest.approx(float(apart), abs=1e-3)
    times = [path.stat().st_mtime_ns for path in pictures]
    assert main(["evaluate", str(made), "--metrics", "Back"]) == 0
    assert [path.stat().st_mtime_ns for path in pictures] == times


def test_rows_that_cannot_be_measured_fail_alone(made, capsys):
    lines = (made / "results.jsonl").read_text().splitlines()
    failed = json.dumps({"name": "c9__s0", "status": "failed", "reason": "it was bad"})
    wild = ["{", "[1]", '{"status": "done", "name": 3}', lines[0].replace("c0__s0.png", "../c0__s0.png"), lines[1]]
    (made / "results.jsonl").write_text("\n".join([*lines, failed, "", *wild]) + "\n")
    Image.new("RGB", (9, 5)).save(made / "c0__s0.png")  # not the run's own: it does not decide the size
    (made / "c1__s0.png").write_bytes((made / "c1__s0.png").read_bytes()[:60])
    (made / "c2__s0.png").unlink()
    assert main(["evaluate", str(made)]) == 3
    said = capsys.readouterr()
    assert "Traceback" not in said.err and "failed in the run: 1" in said.err
    assert "results.jsonl line 9: expected a result" in said.err and "got c0__s1 again" in said.err
    assert "c1__s0.png: expected a picture" in said.err and "c2__s0.png: expected a picture" in said.err
    assert summary(made)["rows"] == 4 and summary(made)["failed"] == 8
    assert "4 rows measured, 8 failed" in said.out


def test_contents_that_changed_or_moved(made, once, tmp_path, capsys):
    moved = tmp_path / "moved"
    shutil.copytree(once / "contents", moved)
    assert main(["evaluate", str(made), "--contents", str(moved)]) == 0 and summary(made)["rows"] == 6
    picture(moved / "c0.png", 99)
    (moved / "c1.png").unlink()
    capsys.readouterr()
    assert main(["evaluate", str(made), "--contents", str(moved)]) == 3
    said = capsys.readouterr().err
    assert "2 failed: expected the content that it was made from, got " in said and "--contents" in said
    assert "c1.png: expected a picture, could not read it (No such file" in said and summary(made)["rows"] == 2


def test_numbers_go_when_other_pictures_take_the_place_of_theirs(once, tmp_path, tiny_model):
    shutil.copytree(once, tmp_path / "all")
    out = tmp_path / "all" / "out"
    assert main(["evaluate", str(out)]) == 0
    assert main(options(tiny_model, tmp_path / "all", "out", "--model.t_boost", "1", "--overwrite")) == 0
    assert not {path.name for path in out.iterdir()} & {"metrics.json", "metrics.parquet", ".measured"}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_table_of_results_made_elsewhere(once, tmp_path, looked, capsys, kind):
    shutil.copytree(once, tmp_path / "all")
    rows = [
        {"content": "contents/c0.png", "style": "styles/s0.png", "result": f"out/c0__s{i}.png", "truth": truth}
        for i, truth in enumerate(["contents/c0.png", ""])
    ]
    rows += [{"content": "contents/c0.png", "style": "", "result": "out/c1__s0.png", "truth": ""}]
    file = tmp_path / "all" / f"table.{kind}"
    if kind == "csv":
        text = [",".join(row.values()) for row in rows]
        file.write_text("\n".join([",".join(rows[0]), *text]) + "\n")
    elif kind == "jsonl":
        file.write_text("\n".join(map(json.dumps, rows)))
    else:
        parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    out = tmp_path / "numbers"
    assert main(["evaluate", "--table", str(file), "--metrics", "SSIM,Apart", "--output_dir", str(out)]) == 3
    assert "row 3: expected a content, a style and a result, got no style; fill it in" in capsys.readouterr().err
    found = table(out)
    assert found["name"] == ["out/c0__s0", "out/c0__s1"] and found["Apart"][1] is None
    apart = (tensor(once / "out" / "c0__s0.png") - tensor(once / "contents" / "c0.png")).abs().mean()
    assert found["Apart"][0] == pytest.approx(float(apart), abs=1e-6)
    assert summary(out)["measures"]["Apart"]["n"] == 1 and summary(out)["measures"]["SSIM"]["n"] == 2
    assert not (tmp_path / "all" / ".measured").exists()
    given = ["--table", str(file), "--truth", str(once / "contents"), "--output_dir", str(out)]
    assert "got both; leave one out" in refused(capsys, *given)


def test_truths_are_found_by_the_last_part_of_a_name(once, tmp_path, looked):
    file = tmp_path / "t.csv"
    c, s, r = once / "contents" / "c0.png", once / "styles" / "s0.png", once / "out" / "c0__s0.png"
    file.write_text(f"content,style,result\n{c},{s},{r}\n")
    argv = ["evaluate", "--table", str(file), "--metrics", "Apart", "--output_dir", str(tmp_path / "out")]
    assert main([*argv, "--truth", str(once / "out")]) == 0 and table(tmp_path / "out")["Apart"] == [0]


def test_plain_folders_are_matched_by_name(once, tmp_path, looked, capsys):
    plain = tmp_path / "plain"
    shutil.copytree(once / "out", plain, ignore=shutil.ignore_patterns("*.jsonl", "*.yaml", "grid*", "traj*"))
    argv = ["evaluate", str(plain), "--contents", str(once / "contents"), "--styles", str(once / "styles")]
    assert main(argv) == 0
    shutil.copytree(once / "out", tmp_path / "out")
    assert main(["evaluate", str(tmp_path / "out")]) == 0
    assert [table(plain)[k] for k in ("name", "SSIM")] == [table(tmp_path / "out")[k] for k in ("name", "SSIM")]
    picture(plain / "c7__s0.png", 5)
    assert main([*argv, "--truth", str(once / "out"), "--metrics", "Apart"]) == 3
    said = capsys.readouterr().err
    assert "expected c7__s0 to be CONTENT__STYLE, or the name of both, found no such pictures" in said
    assert summary(plain)["measures"]["Apart"] | {"mean": 0.0, "n": 6} == summary(plain)["measures"]["Apart"]
    assert main(["evaluate", str(plain), "--styles", str(once / "styles"), "--metrics", "Palette"]) == 0


def test_one_line_for_what_is_wrong(made, once, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert "got none; give one" in refused(capsys)
    assert "with results.jsonl, or --contents and --styles" in refused(capsys, tmp_path / "empty")
    assert "found nothing there" in refused(capsys, tmp_path / "no")
    assert "found a file" in refused(capsys, made / "config.yaml")
    said = refused(capsys, made, "--metrics", "SSIM,Colour")
    assert "SSIM, EdgeSSIM, " in said and "content, style, both, realism, inversion, truth, all), got Colour" in said
    assert "reference: expected a folder of pictures" in refused(capsys, made, "--reference", tmp_path / "no")
    assert "got SSIM=x" in refused(capsys, made, "--networks", "SSIM=x")
    assert "no truth is given" in refused(capsys, made, "--metrics", "truth")
    assert "truth: expected a folder of pictures" in refused(capsys, made, "--truth", tmp_path / "no")
    assert "found none of them" in refused(capsys, made, "--truth", once / "contents")
    assert "both" not in refused(capsys, made, "--table", "x.csv")
    assert "got 100000" in refused(capsys, made, "--size", "100000")
    assert "got an empty name" in refused(capsys, made, "--output_dir", " ")
    assert "expected a whole number above 0, got 0" in refused(capsys, made, "--batch_size", "0")
    (tmp_path / "bad.csv").write_text("content,result\na,b\n")
    assert "expected the columns content, style, result" in refused(capsys, "--table", tmp_path / "bad.csv")
    assert "table: expected a table ending in" in refused(capsys, "--table", tmp_path / "a.txt")
    with held(made):
        assert "where one is at this moment" in refused(capsys, made)
    (made / "metrics.json").write_text('{"mine": 1}')
    assert "metrics.json, which it did not make" in refused(capsys, made)
    (made / "metrics.json").unlink()
    shutil.rmtree(made / ".measured", ignore_errors=True)
    (made / ".measured").symlink_to(tmp_path / "empty")
    assert ".measured, which it did not make" in refused(capsys, made) and not any((tmp_path / "empty").iterdir())
    (made / ".measured").unlink()
    (made / "config.yaml").write_text("data: [")
    assert "config.yaml" in refused(capsys, made)
    assert main(["evaluate", str(made), "--fit", "crop"]) == 0
    capsys.readouterr()
    (made / "results.jsonl").write_text("\n")
    assert "expected results that can be measured, got none (the list is empty)" in refused(
        capsys, made, "--fit", "crop"
    )


def test_from_python_as_a_sweep_calls_it(made):
    trainer = make_trainer("cpu", 1)
    measures = [SSIM(), Palette()]
    found = evaluate(of_run(made), measures, trainer, made)
    kept = (made / ".measured" / "0.jsonl").read_text()
    again = evaluate(of_run(made), measures, trainer, made, batch_size=2)
    lines = (made / ".measured" / "0.jsonl").read_text().removeprefix(kept).splitlines()
    assert [json.loads(line)["values"] for line in lines] == [{}] * 3
    assert len(found.rows) == 6 and not found.failures and found.summary == again.summary
    assert found.values["SSIM"].shape == (6,) and found.summary["measures"]["SSIM"]["n"] == 6
    assert not (made / "metrics.json").exists()


TWO = ["--accelerator", "cpu", "--devices", "2", "--strategy", "ddp"]


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one(made, looked):
    argv = ["evaluate", str(made), "--metrics", "SSIM,Palette,Redness,Brightest,Back,Raising"]
    assert main(argv) == 0
    one, said = table(made), summary(made)
    for name in ("metrics.json", "metrics.parquet"):
        (made / name).unlink()
    shutil.rmtree(made / ".measured")
    looked()
    ended = subprocess.run([sys.executable, "-m", "hsx", *argv, *TWO], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    two, again = table(made), summary(made)
    assert looked() == 6 and all(two[name] == one[name] for name in ("name", "content", "style"))
    assert all(np.allclose(two[name], one[name], atol=1e-6) for name in [*one][3:])
    assert again["skipped"] == said["skipped"] and "Raising" in said["skipped"]
    for name, mean in said["measures"].items():
        assert again["measures"][name] == pytest.approx(mean, abs=1e-6), name


@pytest.mark.slow
def test_a_killed_evaluation_goes_on(made, looked, monkeypatch):
    argv = ["evaluate", str(made), "--metrics", "Redness", "--batch_size", "1"]
    monkeypatch.setenv("SLOWLY", "1")
    started = subprocess.Popen([sys.executable, "-m", "hsx", *argv])
    journal = made / ".measured" / "0.jsonl"
    while not journal.exists() or journal.read_text().count("\n") < 2:
        assert started.poll() is None
        time.sleep(0.02)
    started.send_signal(signal.SIGKILL)
    started.wait()
    monkeypatch.delenv("SLOWLY")
    kept = sum(len(json.loads(line)["values"]) for line in journal.read_text().splitlines())
    looked()
    assert 2 <= kept < 6 and not (made / "metrics.json").exists()
    assert main(argv) == 0 and looked() == 6 - kept and summary(made)["rows"] == 6
