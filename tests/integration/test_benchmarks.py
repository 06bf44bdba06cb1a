"""The scripts in benchmarks/ run, with a tiny network."""

import json
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
