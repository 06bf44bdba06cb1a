import numpy as np
import pytest
import torch
from hsx_masks import ObjectMask, find_object

from hsx.errors import HsxError
from hsx.method.inversion import Trajectory
from hsx.strategies import Lerp
from hsx.testing import check_strategy


@pytest.mark.parametrize("options", [{}, {"clusters": 3, "invert": True}, {"blend": Lerp()}])
def test_contract(options):
    check_strategy(ObjectMask(**options))


def scene(where: np.ndarray) -> np.ndarray:
    """Features (6, 8, 8) that tell an object from its ground, with noise."""
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(size=(2, 6, 1, 1)) * 3
    return (np.where(where, inside, outside) + 0.3 * rng.normal(size=(6, 8, 8))).astype(np.float32)


def test_the_object_is_found_and_only_it_is_injected():
    where = np.zeros((8, 8), bool)
    where[2:7, 3:6] = True
    assert (find_object(scene(where)) == where).all()
    assert (find_object(np.zeros((6, 8, 8), np.float32)) == 1).all()
    other = np.roll(where, -1, 1)
    h = torch.from_numpy(np.stack([scene(where), scene(other)]))[:, None]  # two contents, one timestep
    content = Trajectory(torch.zeros(2, 3, 16, 16), {"h": h}, (0,), 1)
    blend = ObjectMask()
    assert blend.prepare(content, None) is content
    changed = (blend(torch.ones(2, 6, 8, 8), h[:, 0], torch.full((2, 1, 1, 1), 0.5)) != 1).any(1)
    assert (changed.numpy() == np.stack([where, other])).all()
    larger = blend(torch.ones(2, 3, 16, 16), torch.zeros(2, 3, 16, 16), torch.full((2, 1, 1, 1), 0.5))  # another site
    assert ((larger != 1).any(1).numpy() == np.stack([where, other]).repeat(2, 1).repeat(2, 2)).all()
    for features in ({}, {"conv_in": h}):
        with pytest.raises(HsxError, match="ObjectMask: expected inverted contents with h, got .*; use the donor Inv"):
            blend.prepare(Trajectory(content.x_T, features, (0,), 1), None)


def test_options_out_of_range():
    with pytest.raises(HsxError, match="clusters: expected 2 or more, got 1"):
        ObjectMask(clusters=1)
