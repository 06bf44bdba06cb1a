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
    import claims_said
    import claims_settings

    one = dict([*claims_settings.CALIBRATORS.items()][:1])
    for module in (claims_settings, claims_said):
        monkeypatch.setattr(module, "GAMMAS", (0.0, 0.3, 1.0))
        monkeypatch.setattr(module, "CALIBRATORS", one)
    few = ["--models", "demo_faces", "--around", "paper", "--pairs", "2", "--steps", "2"]
    page, drawn, told = (tmp_path / name for name in ("claims.md", "claims.png", "claims.json"))
    page.write_text(PAGE, "utf-8")
    files = ["--keep", tmp_path, "--json", told, "--page", page, "--picture", drawn]
    monkeypatch.setattr(sys, "argv", ["claims.py", *few, *map(str, files)])
    runpy.run_path(str(ROOT / "benchmarks" / "claims.py"), run_name="__main__")
    printed, told = capsys.readouterr().out, json.loads(told.read_text())
    assert drawn.exists() and page.read_text("utf-8").startswith(PAGE[: PAGE.index("<!--")])
    assert {(row["model"], row["around"]) for row in told["settings"]} == {("demo_faces", "paper")}
    assert len({row["claim"] for row in told["claims"]}) == 5
    assert {row["verdict"] for row in told["claims"]} <= {"holds", "holds in part", "does not hold"}
    for says in {row["claim"] for row in told["claims"]}:
        assert all(f"## {says}\n" in text for text in (printed, page.read_text("utf-8"), PAGE))
    assert "benchmarks/claims.py" in PAGE and "docs/claims.md" in (ROOT / "benchmarks" / "claims.py").read_text("utf-8")
    value, low, high = told["settings"][0]["measures"]["PSNR"]
    assert low <= value <= high


def test_the_truth_has_all_of_both_and_the_content_and_the_style_one_each():
    from agreement import Measures, draw

    drawn = draw(8, 64, 5)
    measures, nothing = Measures(drawn, 64), torch.zeros(8)
    found = {name: measures(getattr(drawn, name), nothing) for name in ("content", "style", "truth")}
    at = {name: [float(own[side][0]) for side in ("content", "style")] for name, own in found.items()}
    assert at["truth"] == pytest.approx([1, 1], abs=0.06)
    assert at["content"] == pytest.approx([1, 0], abs=0.06)
    assert at["style"] == pytest.approx([0, 1], abs=0.06)
    grey = measures(torch.zeros_like(drawn.truth), nothing)
    assert all(abs(float(own["KID"][0])) < 0.5 * float(grey["KID"][0]) for own in found.values())


def test_a_claim_holds_where_all_is_better_and_in_part_where_some_is():
    from claims_said import Claim

    up, no, down = (torch.linspace(*ends, 50, dtype=torch.float64) for ends in ((0.5, 1), (-1, 1), (-1, -0.5)))
    assert Claim("", [], (), {"a": up, "b": up}).verdict == "holds"
    assert Claim("", [], (), {"a": up, "b": up / 1000}).verdict == "holds in part"
    assert Claim("", [], (), {"a": up, "b": up}, {"step": no}).verdict == "holds"
    assert Claim("", [], (), {"a": up, "b": up}, {"step": down}).verdict == "holds in part"
    assert Claim("", [], (), {"a": up, "b": no}).verdict == "holds in part"
    assert Claim("", [], (), {"a": no, "b": down}).verdict == "does not hold"


def test_a_point_is_beyond_a_curve_by_its_style_at_as_much_content():
    from claims_said import beyond

    def point(content, style):
        return {"content": torch.tensor([content]).double(), "style": torch.tensor([style]).double()}

    curve = [point(0.0, 1.0), point(0.5, 0.6), point(0.9, 0.1)]
    assert float(beyond(curve, point(0.25, 0.7))) == pytest.approx(-0.1)
    assert float(beyond(curve, point(1.0, 0.2))) == pytest.approx(0.1)  # more than it has anywhere
