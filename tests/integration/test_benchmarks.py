"""The scripts in benchmarks/ run, with a tiny network."""

import json
import re
import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    """Runs one of them with options, as a command would."""

    def run(name: str, *argv: str | Path) -> None:
        monkeypatch.syspath_prepend(str(FOLDER))
        monkeypatch.setattr(sys, "argv", [name, *map(str, argv)])
        runpy.run_path(str(FOLDER / name), run_name="__main__")

    return run


def test_hsx_and_the_plain_loop_in_turn(script, tiny_model, tmp_path, capsys):
    few = ["--model", tiny_model, "--tiny", "--eager", "--pairs", "2", "--rounds", "2"]
    script("run.py", *few, "--json", tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text())
    printed = capsys.readouterr().out
    assert {"commit", "cpu", "torch"} <= found["machine"].keys() and found["machine"]["commit"] in printed
    assert all(row["way"] in printed for part in ("equal", "fast", "inversions") for row in found[part])
    plain, ours = found["equal"][:2]
    assert (plain["E"], plain["D"]) == (ours["E"], ours["D"]) == (3 + 3 + 4, 3 + 3 + 4 + 2)  # of 999, 666, 333 and 0
    assert ours["off"] < 1e-4 and len(ours["all seconds"]) == 2 and ours["spread"][0] <= ours["faster"]
    theirs, *rest = found["inversions"]
    assert theirs["evaluations"] == 8 and {row["evaluations"] for row in rest} == {7, 8}
    assert [row["precision"] for row in found["precision"]] == ["32-true", "bf16-mixed", "bf16-true", "16-true"]


def test_what_a_gpu_takes(script, tmp_path):
    script("gpu.py", tmp_path / "gpu.json", "--tiny", "--only", "matmul", "evaluations", "decodes", "transfers")
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert {row["dtype"] for row in found["matmul"]} == {"float32", "tf32", "bf16", "fp16"}
    failed = {row["how"] for part in ("evaluations", "decodes", "transfers") for row in found[part] if "error" in row}
    assert failed <= {"graph"}  # which only a GPU has
    for part, column in (("evaluations", "share"), ("decodes", "two over one"), ("transfers", "ms with inversions")):
        assert all(row[column] > 0 for row in found[part] if "error" not in row)


@pytest.mark.slow
def test_whole_runs_as_on_a_gpu(script, tmp_path):
    script("gpu.py", tmp_path / "gpu.json", "--tiny", "--only", "pairs", "demo", "check", "golden")
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["pairs"][0]["pairs"] == 4 and len(found["demo"]) == 2
    rows = [row for part in ("pairs", "demo", "check", "golden") for row in found[part]]
    assert all(row.get("exit code", 0) == 0 and "error" not in row for row in rows)


def test_what_float16_does(script, tiny_model, pictures, capsys):
    given = ["--data.contents", pictures / "contents", "--data.styles", pictures / "styles"]
    script("float16.py", "--model.backbone", tiny_model, *given)
    assert "6 pictures: largest difference" in capsys.readouterr().out


def test_the_plan_of_many_pairs(script, tiny_model, capsys):
    script("plan.py", tiny_model, "--contents", "10", "--styles", "20")
    assert "200 pairs:" in capsys.readouterr().out


@pytest.mark.slow
def test_how_time_grows_and_what_the_start_takes(script, tmp_path, capfd):
    script("scaling.py", tmp_path / "scaling.png", "--tiny")
    script("startup.py", "4")
    printed = capfd.readouterr().out
    assert (tmp_path / "scaling.png").exists() and "ratio of work" in printed
    assert re.search(r"^ *1 rows, first batch", printed, re.M) and re.search(r"^ *4 rows, first batch", printed, re.M)


@pytest.mark.slow
def test_what_a_sweep_recommends_is_held_against_the_truth(script, tmp_path, capsys):
    script("sweeps.py", tmp_path, "--pairs", "3", "--over", "model.schedule.init_args.gamma=0.5,1", "--held-out", "2")
    printed = capsys.readouterr().out
    assert re.search(r"recommended: [\d.]+ dB, 100\.0% of the best", printed) and "6 pictures inverted of 3" in printed
    assert all(f"    {name} " in printed for name in ("recommended", "recolouring", "the paper's settings"))
