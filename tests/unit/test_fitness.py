"""Which measures deserve trust: the rule that says so, and that what was written is what the page shows."""

import json
import sys
from pathlib import Path

import pytest
import torch

from hsx import metrics
from hsx.metrics.fitness import EMPHASIS, FILE, known, table

ROOT = Path(__file__).parents[2]
ANSWERS = ("truth", "hsx", "content", "style", "recolouring", "histograms", "average")


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        import fitness

        yield fitness
    del sys.modules["fitness"]


def test_what_is_shown_first_is_fit():
    fit = known()
    assert [about for about, name in EMPHASIS.items() if getattr(metrics, name).about != about] == []
    assert all(fit[name] for name in EMPHASIS.values()) and not fit["SSIM"] and not fit["Palette"]
    assert table()["made"]["pairs"] == 200 and table()["made"]["seed"] == 20264
    for row in table()["measures"].values():
        ahead = row["order"][: row["order"].index("truth")]
        assert row["fit"] <= (set(ahead) <= set(row["ties"]))


def test_the_page_shows_what_was_found_and_names_every_measure(script):
    page = script.PAGE.read_text()
    assert script.page(page, script.table(table()["measures"])) == page
    assert script.table(table()["measures"]) in page
    assert [name for name in metrics.__all__ if f"`{name}`" not in page] == ["MeanMetric", "Metric"]
    assert json.loads(FILE.read_text()) == table()


def ranked(script, about, means, spread=0.1):
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(200, generator=rng, dtype=torch.float64) * spread
    values = {name: means.get(name, 0.0) + noise.roll(i) for i, name in enumerate(ANSWERS)}
    draws = torch.randint(200, (500, 200), generator=rng)
    return script.ranked(about, values, draws, {name: values[name] ** 3 for name in ANSWERS})


def test_fit_is_what_ranks_the_truth_first(script):
    found = ranked(script, "content", {"truth": 1.0, "hsx": 0.9, "content": 0.8})
    assert found["fit"] and found["order"][:3] == ["truth", "hsx", "content"] and found["above"] == found["ties"] == []
    assert found["spearman"] == found["spearman_hsx"] == 1.0
    copy = ranked(script, "content", {"truth": 1.0, "content": 1.1})
    assert not copy["fit"] and copy["above"] == ["content"] and copy["order"][0] == "content"
    tie = ranked(script, "content", {"truth": 1.0, "content": 1.0, "hsx": 1.0})
    assert tie["fit"] and set(tie["ties"]) == {"content", "hsx"}
    blind = ranked(script, "content", dict.fromkeys(ANSWERS, 1.0))
    assert not blind["fit"] and blind["above"] == []
    assert not ranked(script, "both", {"truth": 1.0, "recolouring": 1.0})["fit"]


def test_spearman_is_scipys(script):
    from scipy.stats import spearmanr

    one, other = torch.randint(5, (2, 50), generator=torch.Generator().manual_seed(0)).double()
    assert script.spearman(one, other) == pytest.approx(spearmanr(one, other).statistic)
    assert script.spearman(one, torch.ones(50).double()) == 0
