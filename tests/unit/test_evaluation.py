"""The parts of an evaluation: names that match, and what a number is kept under."""

import shutil

import pytest
import torch
from PIL import Image

from hsx.errors import HsxError
from hsx.metrics import SSIM, MeanMetric, Palette
from hsx.runner.evaluation import of_folders
from hsx.runner.evaluation.evaluating import identity
from hsx.runner.evaluation.items import RowItem, collate
from hsx.runner.evaluation.results import ByName


class Weighted(MeanMetric):
    """With an option, and weights."""

    takes = ("result",)

    def __init__(self, sigma: float = 1.0, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.sigma, self.net = sigma, torch.nn.Linear(2, 2)

    def each(self, result):
        return result.mean((1, 2, 3))


def folder(place, *names):
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(place / name)
    return str(place)


def test_an_identity_is_that_of_class_options_and_weights_and_not_of_use():
    assert identity(SSIM()) == identity(SSIM()) != identity(Palette())
    same = identity(Weighted(sigma=2.0))
    assert same == identity(Weighted(2.0)) and len({same, identity(Weighted()), identity(Weighted(2.0, seed=1))}) == 3
    used = Weighted(2.0)
    used.update(torch.zeros(2, 3, 4, 4))
    used.compute()
    used.reset()
    assert identity(used) == same


def test_results_are_matched_by_their_names(tmp_path):
    contents = folder(tmp_path / "contents", "a.png", "a__b.png", "both.jpg", "sub/x.png")
    styles = folder(tmp_path / "styles", "b__c.png", "c.png", "both.png")
    names = ["a__b__c.png", "a__c.png", "both.png", "sub/x__c.png", "none__c.png"]
    found = of_folders(folder(tmp_path / "out", *names), contents, styles)
    assert [row.name for row in found.rows] == ["a__c", "both", "sub/x__c"]
    assert found.rows[0].content.endswith("contents/a.png") and found.rows[0].style.endswith("styles/c.png")
    assert "found 2 such pictures" in found.failures["a__b__c"] and "found no such" in found.failures["none__c"]
    alone = of_folders(str(tmp_path / "out"), None, None)
    assert len(alone.rows) == 5 and alone.kinds == {"result"}
    with pytest.raises(HsxError, match="got none, such as a__b__c: expected a__b__c to be CONTENT__STYLE"):
        of_folders(str(tmp_path / "out"), folder(tmp_path / "others", "z.png"), styles)


def test_of_two_pictures_of_one_name_none_is_taken(tmp_path):
    known = ByName(folder(tmp_path / "truth", "a.png", "a.jpg", "sub/b.png"), "truth")
    assert known["sub/b"].endswith("sub/b.png")
    with pytest.raises(HsxError, match="truth: expected one picture named a in .*found 2 of that name"):
        known["a"]
    shutil.rmtree(tmp_path / "truth")
    with pytest.raises(HsxError, match="truth: expected a folder"):
        ByName(str(tmp_path / "truth"), "truth")


def test_a_batch_knows_which_rows_each_measure_is_to_take():
    picture = torch.ones(3, 4, 4)
    items = [
        RowItem(0, {"result": picture, "truth": picture}, {"A": "k0", "B": "l0"}, {"A": 0.5}),
        RowItem(1, {"result": picture}, {"A": "k1"}, {}),
        RowItem(2, {}, {"A": "k2"}, {"A": 1.0}),
    ]
    batch = collate(items)
    assert batch.rows("A") == [1] and batch.rows("B") == [0] and batch.rows("C") == []
    assert batch.pictures["truth"].shape == batch.pictures["result"].shape == (3, 3, 4, 4)
    assert batch.pictures["truth"][1:].abs().max() == 0 and batch.items == 3
