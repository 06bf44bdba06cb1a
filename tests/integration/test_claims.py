"""The paper's claims as numbers: the script at a small size, what its measures say of known pictures, and its page."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "claims.md").read_text("utf-8")
pytestmark = pytest.mark.usefixtures("all_cores")


@pytest.fixture(autouse=True)
def paths(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "demo_faces"))


def test_the_script_says_of_every_claim_whether_it_holds_and_the_page_too(monkeypatch, tmp_path, capsys):
    given = [
        "--models",
        "demo_faces",
        "--pairs",
        "2",
        "--steps",
        "3",
        "--keep",
        tmp_path,
        "--json",
        tmp_path / "told.json",
    ]
    monkeypatch.setattr(sys, "argv", ["claims.py", *map(str, given), "--picture", str(tmp_path / "claims.png")])
    runpy.run_path(str(ROOT / "benchmarks" / "claims.py"), run_name="__main__")
    printed, told = capsys.readouterr().out, json.loads((tmp_path / "told.json").read_text())
    assert (tmp_path / "claims.png").exists()
    assert {row["around"] for row in told["settings"]} == {"paper", "config"}
    assert {row["verdict"] for row in told["claims"]} <= {"holds", "holds in part", "does not hold"}
    for says in {row["claim"] for row in told["claims"]}:
        assert f"## {says}\n" in printed and f"## {says}\n" in PAGE
    assert "benchmarks/claims.py" in PAGE and "docs/claims.md" in (ROOT / "benchmarks" / "claims.py").read_text("utf-8")
    value, low, high = told["settings"][0]["measures"]["PSNR"]
    assert low <= value <= high


def test_the_truth_has_all_of_both_and_the_content_and_the_style_one_each():
    from agreement import Measures, draw

    drawn = draw(12, 64, 5)
    measures, nothing = Measures(drawn, 64), torch.zeros(12)
    found = {name: measures(getattr(drawn, name), nothing) for name in ("content", "style", "truth")}
    at = {name: [float(own[side][0]) for side in ("content", "style")] for name, own in found.items()}
    assert at["truth"] == pytest.approx([1, 1], abs=0.06)
    assert at["content"] == pytest.approx([1, 0], abs=0.06)
    assert at["style"] == pytest.approx([0, 1], abs=0.06)
    broken = measures((drawn.content + drawn.style) / 2, nothing)
    assert all(abs(float(own["KID"][0])) < float(broken["KID"][0]) for own in found.values())


def test_a_claim_holds_where_all_is_better_and_in_part_where_some_is():
    from claims_said import Claim, beyond

    up, no, down = torch.linspace(0.5, 1, 50), torch.linspace(-1, 1, 50), -torch.linspace(0.5, 1, 50)
    assert Claim("", [], (), {"a": up, "b": up}).verdict == "holds"
    assert Claim("", [], (), {"a": up, "b": up}, {"step": no}).verdict == "holds"
    assert Claim("", [], (), {"a": up, "b": up}, {"step": down}).verdict == "holds in part"
    assert Claim("", [], (), {"a": up, "b": no}).verdict == "holds in part"
    assert Claim("", [], (), {"a": no, "b": down}).verdict == "does not hold"
    ends = [{"content": torch.tensor([x]), "style": torch.tensor([1 - x])} for x in (0.0, 1.0)]
    above = beyond(ends, {"content": torch.tensor([0.5]), "style": torch.tensor([0.7])})
    assert float(above) == pytest.approx(0.2)
