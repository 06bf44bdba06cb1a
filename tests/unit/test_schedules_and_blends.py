"""The catalogue beyond the paper: the formulas, and options out of range."""

import math
from functools import partial

import pytest
import torch
from PIL import Image

from hsx import strategies
from hsx.errors import HsxError, ImageError
from hsx.io.images import read_image, read_mask
from hsx.method.inversion import Trajectory, invert
from hsx.method.transfer import Transfer
from hsx.schedule import NoiseSchedule, timesteps
from hsx.strategies import (
    Constant,
    Cosine,
    Interval,
    IteratedLatent,
    Latent,
    Lerp,
    Linear,
    Masked,
    SignalToNoise,
    Slerp,
    SphericalMean,
    Table,
)
from hsx.strategies.base import StepState
from hsx.strategies.several import spherical_mean
from hsx.testing.common import backbone_of, images_of

from .test_strategies import column, features

TIMES = [900, 600, 300, 0]


def read(strategy, fit="crop"):
    """A strategy with its pictures, as a Transfer of a 16 x 16 network gives them."""
    strategy.read_pictures(partial(read_image, size=16, fit=fit), partial(read_mask, fit=fit))
    return strategy


def gammas(schedule, times=TIMES):
    schedule.prepare(times, NoiseSchedule.linear())
    return [schedule.gamma(t) for t in times]


def test_ramps_run_over_the_injections_whatever_their_timesteps():
    assert gammas(Linear(0.6, 0.0)) == pytest.approx([0.6, 0.4, 0.2, 0.0])
    assert gammas(Linear(0.0, 1.0), [999, 990, 5]) == pytest.approx([0.0, 0.5, 1.0])
    assert gammas(Cosine(1.0, 0.0)) == pytest.approx([1.0, 0.75, 0.25, 0.0])
    assert gammas(Table([0.2, 0.8])) == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert gammas(Table([0.1, 0.2, 0.3, 0.4])) == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert gammas(Table([0.5])) == [0.5] * 4
    assert gammas(Linear(0.7, 0.1), [500]) == [0.7]


def test_an_interval_and_a_signal_to_noise_ratio():
    assert gammas(Interval(0.3, 600, 300)) == [0.0, 0.3, 0.3, 0.0]
    noise = NoiseSchedule.linear()
    a = noise.alphas_cumprod[[900, 0]].tolist()
    snr = [v / (1 - v) for v in a]
    high, low = gammas(SignalToNoise(0.6, 2.0), [900, 0])
    assert (high, low) == pytest.approx([0.6 * 2 / (2 + s) for s in snr])
    half = next(t for t in timesteps(1000) if noise.alphas_cumprod[t] < 0.5)
    assert gammas(SignalToNoise(1.0, 1.0), [half])[0] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    "name, options, said",
    [
        ("Linear", {"start": 1.2}, "start: expected a number from 0 to 1, got 1.2"),
        ("Cosine", {"end": -0.1}, "end: expected a number from 0 to 1, got -0.1"),
        ("Interval", {"t_hi": 3, "t_lo": 4}, "t_hi, t_lo: expected t_hi >= t_lo >= 0, got t_hi 3 and t_lo 4"),
        ("Interval", {"gamma": math.nan}, "gamma: expected a number from 0 to 1, got nan"),
        ("Table", {"values": []}, "values: expected at least one number from 0 to 1, got an empty list"),
        ("Table", {"values": [0.1, 2]}, "values: expected a number from 0 to 1, got 2"),
        ("SignalToNoise", {"k": 0}, "k: expected a number above 0, got 0"),
        ("IteratedLatent", {"max_iterations": 0}, "max_iterations: expected 1 or more applications, got 0"),
        ("IteratedLatent", {"tolerance": -1}, "tolerance: expected a number of 0 or more, got -1"),
        ("Masked", {"mask": "nowhere.png"}, "nowhere.png: expected a picture"),
        ("Masked", {"mask": "nowhere.png", "feather": 2}, "feather: expected a number from 0 to 0.5, got 2"),
        ("SphericalMean", {"contents": []}, "at least one content"),
        ("SphericalMean", {"contents": ["a.png"], "weights": [1.0]}, "give 2 weights"),
        ("SphericalMean", {"contents": ["a.png"], "weights": [-1.0, 1.0]}, "not all zero, got"),
        ("SphericalMean", {"contents": ["nowhere.png"]}, "nowhere.png: expected a picture"),
    ],
)
def test_options_out_of_range_in_one_line(name, options, said):
    with pytest.raises(HsxError) as raised:
        getattr(strategies, name)(**options)
    assert said in str(raised.value) and "\n" not in str(raised.value) and "; " in str(raised.value)


def test_lerp_is_a_line():
    h, c = features()
    torch.testing.assert_close(Lerp()(h, c, column(0.0, 0.3, 1.0)), torch.lerp(h, c, column(0.0, 0.3, 1.0)))


def test_a_mask_goes_to_the_grid_of_h_by_area_with_soft_edges(tmp_path):
    half = Image.new("L", (256, 256))
    half.paste(255, (0, 0, 80, 256))  # 2.5 of 8 columns
    half.save(tmp_path / "half.png")
    h, c = features()
    gamma = column(1.0, 1.0, 1.0)

    def share(**options):
        out = read(Masked(str(tmp_path / "half.png"), Lerp(), **options))(h, c, gamma)
        return ((out - h) / (c - h)).mean((0, 1, 2))

    torch.testing.assert_close(share(), torch.tensor([1.0, 1, 0.5, 0, 0, 0, 0, 0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(share(invert=True), torch.tensor([0.0, 0, 0.5, 1, 1, 1, 1, 1]), atol=1e-3, rtol=0)
    soft = share(feather=0.1)
    assert (soft.diff() <= 0).all() and soft[0] < 1 and soft[-1] < 0.01
    assert torch.equal(read(Masked(str(tmp_path / "half.png")))(h, c, gamma, torch.zeros(3, 1, 8, 8)), h)


def test_the_spherical_mean_of_two_is_slerp_and_of_three_is_central():
    h, c = features()
    for w in (0.0, 0.3, 1.0):
        torch.testing.assert_close(
            spherical_mean([h, c], [1 - w, w]), Slerp()(h, c, column(w, w, w)), rtol=1e-3, atol=1e-3
        )
    axes = list(torch.eye(3).reshape(3, 3, 1, 1))
    torch.testing.assert_close(
        spherical_mean(axes, [1, 1, 1]).flatten(), torch.full((3,), 3**-0.5), rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(spherical_mean([h, h, h], [1, 2, 3]), h, rtol=1e-4, atol=1e-4)


def test_several_contents_by_weight(tmp_path):
    """All the weight on the pair's own changes nothing; all of it on another is that other."""
    images, net = images_of("cpu"), backbone_of("cpu")
    picture = (images[2].permute(1, 2, 0) * 127.5 + 127.5).byte().numpy()
    Image.fromarray(picture).save(tmp_path / "c.png")
    own: Trajectory = invert(net, images[:2], 5)
    other = invert(net, torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1, 5)
    for weights, expected in (([1.0, 0.0], own.h), ([0.0, 1.0], other.h.expand_as(own.h))):
        blend = read(SphericalMean([str(tmp_path / "c.png")], weights))
        mean = blend.prepare(own, lambda x: invert(net, x, 5))
        torch.testing.assert_close(mean.h, expected, rtol=1e-3, atol=1e-3)
        assert torch.equal(mean.x_T, own.x_T)


def test_calibration_once_is_latent_and_more_changes_the_skips_less_each_time():
    net, x, t = backbone_of("cpu"), images_of("cpu"), torch.tensor([200, 500, 800])
    b = net.encode(x, t)
    h = 0.5 * (b.h + b.h.flip(0))
    injected = b.with_h(h)
    state = StepState(net, x, t, net.schedule.at(t), net.decode(b), b, net.decode(injected), injected)
    assert torch.equal(IteratedLatent(0.3, max_iterations=1)(state), Latent(0.3)(state))
    many = [IteratedLatent(0.3, 0.0, n)(state) for n in (1, 2, 3)]
    assert not torch.equal(many[0], many[1]) and not torch.equal(many[1], many[2])
    assert torch.equal(IteratedLatent(0.3, 1e9, 4)(state), many[0])  # any change is small enough


@pytest.mark.parametrize("make", [Masked, lambda path: SphericalMean([path])])
def test_pictures_come_from_a_transfer(make, tmp_path):
    """Without one there are none; a file that is no picture is refused when the Transfer is made, and named."""
    (tmp_path / "p.png").write_text("no picture")
    blend = make(str(tmp_path / "p.png"))
    with pytest.raises(ImageError, match="p.png: expected a (picture|mask), could not read it"):
        Transfer(backbone_of("cpu"), blend=blend)
    h, c = features()
    content = invert(backbone_of("cpu"), images_of("cpu"), 4)
    with pytest.raises(HsxError, match=": expected its pictures, which a Transfer reads, got none; use it in a Transf"):
        blend.prepare(content, None)
        blend(h, c, column(1.0, 1.0, 1.0))


def test_a_blend_inside_another_belongs_to_one_transfer(tmp_path):
    """What the inner one keeps is not shared between transfers of other steps, nor in the record."""
    Image.radial_gradient("L").convert("RGB").save(tmp_path / "p.png")
    images, net = images_of("cpu"), backbone_of("cpu")

    def make(steps, blend):
        return Transfer(net, Constant(0.8), blend, inversion_steps=steps, generation_steps=5, t_boost=0)

    def blend():
        return Masked(str(tmp_path / "p.png"), SphericalMean([str(tmp_path / "p.png")]))

    shared = blend()
    record = shared.record()
    make(4, shared)(images, images.flip(0))
    assert torch.equal(make(9, shared)(images, images.flip(0)), make(9, blend())(images, images.flip(0)))
    assert shared.record() == record


def test_strategies_in_a_list_read_their_pictures_made_square_as_all_are(tmp_path):
    class Several(Slerp):
        def __init__(self, blends):
            self.blends = blends

    Image.linear_gradient("L").resize((20, 40)).save(tmp_path / "m.png")
    inside = Transfer(backbone_of("cpu"), blend=Several([Masked(str(tmp_path / "m.png"))]), fit="pad").blend.blends[0]
    alone = read(Masked(str(tmp_path / "m.png")))
    assert not torch.equal(inside._area, alone._area)
    assert torch.equal(inside._area, read(alone, "pad")._area)
