"""The plan of a run, its batches and its fingerprints, as values."""

import pickle
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest
import torch
from PIL import Image

from hsx.io.images import pixels_digest, read_image
from hsx.io.png import write_png
from hsx.method.config import TransferConfig
from hsx.method.inversion import Trajectory
from hsx.method.transfer import Transfer
from hsx.pairs.pairing import product, zipped
from hsx.runner.batches import (
    Failure,
    Inverted,
    Padding,
    PairItem,
    PictureBatch,
    PictureItem,
    Vanished,
    collate,
)
from hsx.runner.items import Trajectories
from hsx.runner.model import TransferModel
from hsx.runner.plan import VANISHED, make_plan
from hsx.runner.writers import NOT_INVERTED, Outcome, TrajectoryWriter
from hsx.store.records import RECORD
from hsx.store.trajectories import Store
from hsx.strategies import Constant, Linear, MultistepV, Renoised

from ..conftest import picture


@pytest.fixture(scope="module")
def model(tiny_model):
    return TransferModel(str(tiny_model), Constant(0.5), inversion_steps=4, generation_steps=5, t_boost=0)


@pytest.fixture
def pairs(tmp_path):
    contents = [picture(tmp_path / "contents" / f"c{i}.png", i) for i in range(3)]
    return product(contents, [picture(tmp_path / "styles" / f"s{i}.png", 10 + i) for i in range(2)])


@pytest.fixture
def plan(model, pairs, tmp_path):
    return planned(model, pairs, tmp_path)


def planned(model, pairs, folder, overwrite=False):
    (folder / "out").mkdir(exist_ok=True)
    return make_plan(model, pairs, Store(folder / "store"), folder / "out", "32-true", "crop", overwrite)


def digests(pairs) -> dict[int, str]:
    return {n: pixels_digest(read_image(path, 16)) for n, path in enumerate([*pairs.contents, *pairs.styles])}


def finished(plan, *numbers: int):
    """The pictures of these pairs, with their records, as an earlier run left them."""
    for n in numbers:
        own = plan.recorder.own(plan.pairs[n])
        text = {RECORD: plan.recorder.whole(own, {"rows": 1})}
        write_png(Image.new("RGB", (16, 16)), plan.found.folder / f"{own['name']}.png", text)


def test_a_new_folder_has_all_to_make(plan):
    assert plan.pairs_to_make().tolist() == list(range(6)) and not plan.found.others
    assert plan.pictures_needed().tolist() == plan.pictures_to_read().tolist() == [0, 1, 2, 3, 4]
    assert plan.pictures_to_check().tolist() == []


def test_it_never_changes(plan, pairs):
    before = pickle.dumps((plan.done, dict(plan.failures), dict(plan.lost), dict(plan.recorder.pixels)))
    read = plan.with_pictures(Outcome(failures={1: "bad"}, pixels=digests(pairs)))
    made = read.with_pairs(np.array([0, 1]), Outcome(failures={1: "not finite"}, vanished=[0]))
    made.given_up()
    assert pickle.dumps((plan.done, dict(plan.failures), dict(plan.lost), dict(plan.recorder.pixels))) == before
    with pytest.raises(FrozenInstanceError):
        plan.size = 3


def test_a_lost_picture_takes_its_pairs_along_and_a_vanished_trajectory_comes_round_again(plan, pairs):
    read = plan.with_pictures(Outcome(failures={1: "bad"}, pixels={0: "a", 2: "c", 3: "d", 4: "e"}))
    assert read.pairs_to_make().tolist() == [0, 1, 4, 5]  # not those of content 1
    made = read.with_pairs(read.pairs_to_make(), Outcome(vanished=[4], failures={5: "not finite"}))
    assert made.pairs_to_make().tolist() == [4] and made.failures == {5: "not finite"}
    assert made.pictures_to_read().tolist() == [1, 2, 3, 4]  # those of 4, and of content 1's pairs
    assert made.given_up().failures == {5: "not finite", 4: VANISHED}


def test_what_is_there_counts_if_it_was_made_from_the_same_pictures(model, pairs, plan, tmp_path):
    finished(plan.with_pictures(Outcome(pixels=digests(pairs))), 0, 3)
    again = planned(model, pairs, tmp_path)
    assert np.flatnonzero(again.done).tolist() == [0, 3] and again.pictures_to_check().tolist() == [0, 1, 3, 4]
    checked = again.with_pictures(Outcome(pixels=digests(pairs))).checked()
    assert np.flatnonzero(checked.done).tolist() == [0, 3] and not checked.found.others
    picture(tmp_path / "contents" / "c1.png", 77)  # another picture of the same name
    checked = again.with_pictures(Outcome(pixels=digests(pairs))).checked()
    assert np.flatnonzero(checked.done).tolist() == [0]
    assert [path.name for path in checked.found.others] == ["c1__s1.png"] and not again.found.others


def test_batches_keep_what_became_no_row_beside_the_rows():
    image = torch.zeros(3, 2, 2)
    batch = collate([PictureItem(4, image, "p"), Failure(5, "bad"), Padding(), PictureItem(6, image, "q")])
    assert batch.index == [4, 6] and batch.images.shape == (2, 3, 2, 2) and batch.pixels == ["p", "q"]
    assert batch.failures == {5: "bad"} and len(batch) == 2 and batch.items == 3
    assert len(collate([Padding()])) == 0 and collate([Vanished(3)]).vanished == [3]
    h, gamma = torch.ones(1, 2, 2, 2), torch.tensor(0.5)
    mask = torch.zeros(1, 2, 2)
    one = PairItem(0, {"seed": 1}, gamma, None, {"h": h.half()}, image, None, image, {})
    batch = collate([one, PairItem(1, {"seed": 2}, gamma, mask, {"h": h}, image, None, image, {}), Vanished(2)])
    assert batch.mask.sum((1, 2, 3)).tolist() == [4, 0] and batch.content["h"].dtype == torch.float32
    assert batch.vanished == [2] and batch.items == 3
    moved = batch.to(torch.device("meta"))
    assert moved.content["h"].is_meta and moved.records == batch.records and not batch.content["h"].is_meta
    assert collate([one]).mask is None and moved.gamma is batch.gamma


def test_pairs_of_one_content_share_it(plan, pairs, model):
    """A content's features are read, and go to the device, once while its pairs last."""
    plan = plan.with_pictures(Outcome(pixels=digests(pairs)))
    store, found = Store(plan.found.folder), model.transfer.invert([*pairs.contents, *pairs.styles])
    for row, pixels in plan.recorder.pixels.items():
        of, features = plan.recorder.fingerprints.trajectory(pixels), {"h": found.features["h"][row]}
        store.put(of, found.x_T[row], features, found.timesteps, {"rows": row})
    items = Trajectories(plan.pairs_to_make(), 1, store, plan.recorder, plan.size, plan.taken)
    one, two, other = (items[place] for place in range(3))
    assert one.content["h"] is two.content["h"] and one.computed["content"] == two.computed["content"] == {"rows": 0}
    batch = collate([one, two, other])
    assert batch.content["h"].shape[0] == 2 and batch.which == [0, 0, 1] and other.computed["content"] == {"rows": 1}
    rows = batch.features([0, 2, 1], batch.style_x_T)["h"]
    assert torch.equal(rows, found.features["h"][[0, 1, 0]].half().float())


def test_pairs_are_made_content_by_content(model, tmp_path):
    contents, styles = ([picture(tmp_path / f"{kind}{i}.png", i) for i in range(2)] for kind in "cs")
    pairs = zipped(contents * 2, [styles[0], styles[0], styles[1], styles[1]])
    assert planned(model, pairs, tmp_path).pairs_to_make().tolist() == [0, 2, 1, 3]


def test_outcomes_add_up():
    one, two = Outcome({1: "a"}, [2], {0: "x"}, 1, 0, 2.5), Outcome({3: "b"}, [4], {1: "y"}, 2, 1, 0.5)
    assert one + two == Outcome({1: "a", 3: "b"}, [2, 4], {0: "x", 1: "y"}, 3, 1, 3.0)


def test_every_part_of_an_identity_counts(model):
    def all_of(precision="32-true", dtype="float16", pixels="p", gamma=None, seed=0):
        found = model.fingerprints(precision, dtype)
        return found.trajectory(pixels), found.picture([pixels, "q"], None, gamma, seed)

    base = all_of()
    for change in ({"precision": "16-true"}, {"dtype": "float32"}, {"pixels": "r"}):
        assert not set(all_of(**change)) & set(base)
    for change in ({"gamma": 0.5}, {"seed": 1}):
        trajectory, made = all_of(**change)
        assert trajectory == base[0] and made != base[1]


def test_a_config_is_frozen_and_says_itself(model):
    config = model.transfer.config
    with pytest.raises(FrozenInstanceError):
        config.t_edit = 3
    assert TransferConfig().t_edit is None and config.t_edit == 400 and config.t_start == 999
    elsewhere = {option.name for option in fields(TransferConfig) if "said_by" in option.metadata}
    assert elsewhere == {"seed", "fit"}
    assert set(config.as_model()) == {option.name for option in fields(TransferConfig)} - elsewhere
    others = {  # of which a record says nothing where they are as they were before there was a choice
        "sites": {"h": 0.5},
        "donor": Renoised(),
        "solver": MultistepV(),
        "inverter": 2,
        "spacing": "mixed",
        "same_strength_as": 50,
        "style_eps": "first",
    }
    assert set(config.record()) == {option.name for option in fields(TransferConfig)} - others.keys()
    assert replace(config, **others).record().keys() - config.record().keys() == others.keys()


class Counting(Linear):
    """Keeps something between calls, as a plugin's may."""

    def prepare(self, timesteps, noise):
        super().prepare(timesteps, noise)
        self._calls = getattr(self, "_calls", 0) + 1


def test_what_strategies_keep_at_work_has_no_part_in_an_identity(tiny_model):
    model = TransferModel(str(tiny_model), Counting(), inversion_steps=4, generation_steps=5, t_boost=0)
    before = model.fingerprints("32-true", "float16"), model.transfer.config.record()
    assert "_timesteps" not in str(before[1]) and "_calls" not in str(before[1])
    images = torch.zeros(1, 3, 16, 16)
    model.transfer(images, images)
    assert model.transfer.schedule._calls > 1
    assert (model.fingerprints("32-true", "float16"), model.transfer.config.record()) == before
    other = Transfer(model.backbone, model.transfer.config, t_edit=300)
    assert other.config.record()["schedule"] == before[1]["schedule"]


def test_a_picture_that_cannot_be_inverted_fails_under_all_its_names(model, tmp_path):
    writer = TrajectoryWriter(None, Store(tmp_path), model.fingerprints("32-true", "float16"))
    images, bad = torch.zeros(2, 3, 16, 16), torch.full((1, 3, 16, 16), torch.nan)
    result = Inverted({0: ["h"]}, Trajectory(bad, {"h": torch.zeros(1, 1, 2, 2, 2)}, (0,), 9), [1])
    writer.write(result, PictureBatch([0, 1], images, ["same", "same"]), {})
    writer.write(Inverted({}, None, []), PictureBatch([2], images[:1], ["same"]), {})
    assert writer.outcome.failures == dict.fromkeys((0, 1, 2), NOT_INVERTED)
