"""Which timesteps a transfer visits: how they are spaced, and where auto begins."""

import pytest
import torch
from torch import nn

import hsx
from hsx.backbones.counted import Counted
from hsx.backbones.hooked import HookedBackbone
from hsx.backbones.wrapped import Wrapped
from hsx.method.grids import spaced
from hsx.schedule import NoiseSchedule, timesteps
from hsx.strategies import Constant, Interval, Latent, Linear, Multistep2M, Renoised, SphericalMean, Table

from ..conftest import picture

LINEAR = NoiseSchedule.linear()
LOW = Interval(0.7, 300, 0)
FEW = dict(inversion_steps=12, generation_steps=12, t_edit=0, t_boost=0)


def named(value):
    """An id that is the same in every process."""
    return " ".join(value) or "nothing" if isinstance(value, dict) else None


@pytest.fixture(scope="module")
def images(images):
    return tuple(rows[:2] for rows in images)


# --------------------------------------------------------------------------------------------------------- spacing
@pytest.mark.parametrize("noise", [LINEAR, NoiseSchedule.cosine(), NoiseSchedule.linear(60)], ids=len)
@pytest.mark.parametrize("spacing", ["uniform", "logsnr", "mixed", "mixed:0.9", "split", "split:2"])
def test_timesteps_ascend_from_0_to_the_last_in_any_number(noise, spacing):
    least = {"split": 4, "split:2": 3}.get(spacing, 2)
    for last in (len(noise) - 1, len(noise) // 3):
        most = last + 1 - {"split": 7, "split:2": 8}.get(spacing, 0)  # of 0 to 9, 7 or 8 are left out
        for steps in {least, least + 1, 10, last // 2, most - 1, most}:
            found = spaced(steps, last, spacing, noise, hi=9)
            assert len(found) == steps and found[0] == 0 and found[-1] == last
            assert all(a < b for a, b in zip(found, found[1:], strict=False))
            assert all(type(t) is int for t in found)


def test_spacings_are_what_they_say():
    def log_snr(times):
        a = LINEAR.alphas_cumprod[times]
        return (a / (1 - a)).log()

    assert spaced(50, 999, "uniform", LINEAR) == timesteps(50)
    even = log_snr(spaced(20, 999, "logsnr", LINEAR))
    gaps = (even[1:] - even[:-1])[5:]  # those at the lowest are held apart by whole timesteps
    assert float(gaps.std() / gaps.mean().abs()) < 0.05
    half, most = (spaced(20, 999, spacing, LINEAR) for spacing in ("mixed", "mixed:0.75"))
    counts = [sum(t < 100 for t in times) for times in (timesteps(20), half, most, spaced(20, 999, "logsnr", LINEAR))]
    assert counts == sorted(counts) and len(set(counts)) == 4
    assert half == spaced(20, 999, "mixed:0.5", LINEAR)
    assert spaced(15, 999, "split", LINEAR, hi=45)[:3] == [0, 22, 45]
    assert spaced(15, 999, "split", LINEAR, hi=45)[2:] == spaced(14, 999, "split:2", LINEAR, hi=45)[1:]


@pytest.mark.parametrize(
    "options, said",
    [
        (dict(spacing="even"), "spacing: expected uniform, logsnr, .* or a list of timesteps, got even.*; "),
        (dict(spacing="mixed:1.5"), "spacing: expected uniform, .*, got mixed:1.5.*; "),
        (dict(spacing="split:1"), "spacing: expected uniform, .*, got split:1.*; "),
        (dict(spacing=3), "spacing: expected .*, got 3; "),
        (dict(spacing=None), "spacing: expected .*, got None.*; "),
        (dict(spacing=[0, 40, 40, 999]), "spacing: expected timesteps that ascend from 0 to at most 999, got .*; "),
        (dict(spacing=[0, 500, 40]), "spacing: expected timesteps that ascend from 0 to at most 999, got .*; "),
        (dict(spacing=[1, 40, 999]), "spacing: expected timesteps that ascend from 0 "),
        (dict(spacing=[0]), "spacing: expected timesteps that ascend from 0 "),
        (dict(spacing=[]), "spacing: expected timesteps that ascend from 0 "),
        (dict(spacing=[False, True, 999]), "spacing: expected timesteps that ascend from 0 "),
        (dict(spacing=[0, "40", 999]), "spacing: expected timesteps that ascend from 0 "),
        (dict(spacing=[0, 40.5, 999]), "spacing: expected timesteps that ascend from 0 "),
        (dict(spacing=[0, 40, 1000]), "spacing: expected timesteps that ascend from 0 to at most 999"),
        (dict(spacing=range(1100)), "spacing: expected timesteps that ascend from 0 to at most 999"),
        (dict(spacing=[0, 40, 900], t_start=800), "spacing: expected timesteps that ascend from 0 to 800, got "),
        (dict(spacing=[0, 40, 900], inversion_steps=12), "inversion_steps: expected 3, as spacing lists .*, got 12; "),
        (dict(spacing=[0, 40, 900], generation_steps=4), "generation_steps: expected 3, as spacing .*, got 4; "),
        (dict(spacing="split"), "spacing: expected injections from a timestep of 2 or more, .* for split, got 999; "),
        (dict(spacing="split", schedule=Constant(0.0)), "spacing: expected injections .* for split, got none; "),
        (dict(spacing="split", schedule=Interval(1, 1, 0), t_edit=0), "spacing: expected injections .*, got 1; "),
        (dict(spacing="split", schedule=LOW, t_edit=0, generation_steps=3), "steps of split: expected 4 to 702 .* 3; "),
        (
            dict(spacing="split", schedule=LOW, t_edit=0, inversion_steps=703),
            "steps of split: expected 4 to 702 .*703; ",
        ),
        (
            dict(spacing="split", schedule=LOW, t_edit=0, injection_steps="50"),
            "injection_steps: expected .*, got 50.*; ",
        ),
        (
            dict(spacing="split", schedule=LOW, t_edit=0, injection_steps=["a"]),
            "injection_steps: expected some of .*, got ..a..; ",
        ),
        (dict(inverter=-1), "inverter: expected 0 to 100.*, got -1; "),
        (dict(inverter=1.5), "inverter: expected .*, got 1.5; "),
        (dict(inverter=True), "inverter: expected .*, got True.*; "),
        (dict(inverter=2, solver=Multistep2M()), "inverter: expected the solver DDIM with it, .*, got Multistep2M; "),
        (dict(same_strength_as=1), "same_strength_as: expected 2 to 1000.*, got 1; "),
        (dict(same_strength_as="paper"), "same_strength_as: expected .*, got paper.*; "),
        (dict(same_strength_as=50, style_eps="first"), "style_eps: expected always with same_strength_as, .*; "),
        (dict(style_eps="never"), "style_eps: expected one of always, first, got never.*; "),
        (dict(t_start="first"), "t_start: expected 1 to 999 .* or auto.*, got first.*; "),
        (dict(t_start=0), "t_start: expected 1 to 999.*, got 0; "),
        (dict(solver="Multistep2M"), r"solver: expected a Solver, got Multistep2M .*; .* such as DDIM\(\)"),
        (dict(solver=Multistep2M), r"solver: expected a Solver, .*; give an object, Multistep2M"),
    ],
    ids=named,
)
def test_what_cannot_be_is_refused_in_one_line(net, options, said):
    with pytest.raises(hsx.HsxError, match="^" + said) as caught:
        hsx.Transfer(net, **{"schedule": Constant(0.3), **options})
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------------------------------------------- t_start auto
class Calm(nn.Module):
    """The eps of pictures whose pixels are standard normal, and something of what is in the middle.

    A random network is no flow that leads back: what it says of noise has nothing to do with the noise.
    """

    def __init__(self):
        super().__init__()
        self.down, self.middle, self.up = (
            nn.Conv2d(3, 8, 3, 2, 1),
            nn.Conv2d(8, 8, 1),
            nn.ConvTranspose2d(8, 3, 4, 2, 1),
        )
        self.register_buffer("sigma", (1 - LINEAR.alphas_cumprod).sqrt().float())

    def forward(self, x, t):
        return self.sigma[t].reshape(-1, 1, 1, 1) * x + 0.3 * self.up(self.middle(self.down(x)).tanh())


def top_of(net, schedule=LOW, **options) -> int:
    transfer = hsx.Transfer(net, schedule, **{**FEW, **options})
    assert transfer.t_start == transfer.timesteps[-1] == transfer.inversion_timesteps[-1]
    return transfer.t_start


def test_auto_begins_where_anything_happens(net):
    grid = timesteps(12)
    assert grid[2:5] == [181, 272, 363]
    assert top_of(net) == 272 and hsx.Transfer(net, LOW, **FEW).timesteps == grid[:4]
    assert top_of(net, t_start=999) == 999 and top_of(net, t_start=400) == 400  # a number keeps its meaning
    assert hsx.Transfer(net, LOW, **{**FEW, "t_start": 400}).timesteps == timesteps(12, 400)
    assert top_of(net, Constant(0.0)) == top_of(net, t_edit=1000) == 999  # nothing ever happens
    assert top_of(net, t_edit=272) == 272 and top_of(net, t_edit=273) == 999
    assert top_of(net, t_boost=600) == 544  # noise
    assert top_of(net, Constant(0.0), t_boost=600) == 999  # which rows may override
    assert top_of(net, injection_steps=[999, 280, 181, 0]) == 181  # 280 is none of the timesteps
    assert top_of(net, dt_lambda=0.9, dt_end=700) == 999  # a direction
    assert top_of(net, dt_lambda=0.9, dt_end=700, injection_steps=grid[:10]) == grid[9]
    assert top_of(net, injection_steps=[999, 181, 0]) == 181
    assert top_of(net, Interval(1, 20, 0)) == grid[1]  # at t = 0 alone: one step at least
    finer = hsx.Transfer(net, LOW, **{**FEW, "inversion_steps": 40})
    assert finer.inversion_timesteps == [*timesteps(40)[:11], 272] and finer.timesteps == grid[:4]


@pytest.mark.parametrize("schedule", [LOW, Table([0, 0, 0, 0.5, 1]), Linear(0.0, 0.8)], ids=lambda s: type(s).__name__)
def test_a_schedule_keeps_its_course_over_the_whole(net, schedule):
    whole = hsx.Transfer(net, schedule, **FEW, t_start=999)
    cut = hsx.Transfer(net, schedule, **FEW)
    assert cut.t_start < 999 and cut.injection_timesteps == whole.injection_timesteps
    assert [cut.schedule.gamma(t) for t in cut.timesteps] == [whole.schedule.gamma(t) for t in cut.timesteps]
    assert all(whole.schedule.gamma(t) == 0 for t in whole.timesteps if t > cut.t_start)


@pytest.mark.parametrize(
    "options",
    [dict(), dict(t_boost=200, same_strength_as=50), dict(calibrator=Latent(0.3), donor=Renoised())],
    ids=named,
)
@torch.no_grad()
def test_auto_is_within_a_trifle_of_beginning_at_the_last(images, options):
    """Where the way above is undone: inversion is exact for DDIM, with so many looks."""
    torch.manual_seed(0)
    net = Counted(HookedBackbone(Calm(), "middle", sample_size=16))

    def made(**more):
        net.evaluations = 0.0
        transfer = hsx.Transfer(net, **{"schedule": LOW, **FEW, "inverter": 30, **options, **more})
        return transfer(*images), net.evaluations

    (cut, fewer), (whole, all_of_them) = made(), made(t_start=999)
    assert float((cut - whole).abs().max()) < 1e-4 and fewer < 0.5 * all_of_them
    assert float((made(schedule=Constant(0.0))[0] - whole).abs().max()) > 1e-2


def test_a_gamma_for_each_row_with_auto(net, images):
    transfer = hsx.Transfer(net, LOW, **FEW)
    content, style = transfer.contents(images[0]), transfer.invert(images[1], ())
    own = transfer.inject(content, style, gamma=torch.tensor([torch.nan, 0.2]))
    torch.testing.assert_close(own[0], transfer.inject(content, style)[0], atol=1e-4, rtol=0)
    low = hsx.Transfer(net, Interval(0.2, 300, 0), **FEW)
    torch.testing.assert_close(own[1], low.inject(content, style)[1], atol=1e-4, rtol=0)

    # Where the schedule is above 0, the gamma is the row's; where it never is, at every injection.
    whole = hsx.Transfer(net, LOW, **FEW, t_start=999)
    styles, gamma = whole.invert(images[1], ()), torch.tensor([0.2, 0.2])
    expected = hsx.Transfer(net, Interval(0.2, 300, 0), **FEW, t_start=999).inject(content, styles)
    torch.testing.assert_close(whole.inject(content, styles, gamma=gamma), expected, atol=1e-4, rtol=0)
    never, always = (hsx.Transfer(net, Constant(each), **FEW) for each in (0.0, 0.2))
    every = always.contents(images[0])
    torch.testing.assert_close(
        never.inject(every, styles, gamma=gamma), always.inject(every, styles), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("looks", [0, 2])
def test_contents_are_inverted_only_so_far(net, images, looks):
    """Which gives the pictures of contents that are inverted up to t_start."""
    net = Counted(net)
    transfer = hsx.Transfer(net, LOW, **FEW, t_start=999, inverter=looks)
    assert transfer.content_timesteps == timesteps(12)[:4] == [*transfer.recorded_timesteps]
    few = transfer.contents(images[0])
    assert net.evaluations == 2 * (1 + 3 * looks if looks else 4) and few.timesteps == (0, 90, 181, 272)
    many, style = transfer.invert(images[0]), transfer.invert(images[1], ())
    assert len(many.timesteps) == (12 if looks else 11)
    assert torch.equal(transfer.inject(few, style), transfer.inject(many, style))
    config = transfer.config
    assert config.content_inversion != config.inversion
    assert (
        config.content_inversion == hsx.Transfer(net, config, schedule=Interval(1, 280, 100)).config.content_inversion
    )
    usual = hsx.Transfer(net, Constant(0.3), **FEW)
    assert usual.config.content_inversion == usual.config.inversion == {"steps": 12, "t_start": 999}


def test_further_contents_join_those_that_were_inverted_further(net, images, tmp_path):
    blend = SphericalMean([str(picture(tmp_path / "more.png", 5))])
    transfer = hsx.Transfer(net, LOW, blend, **FEW, t_start=999)
    style = transfer.invert(images[1], ())
    made = [transfer.inject(content, style) for content in (transfer.contents(images[0]), transfer.invert(images[0]))]
    assert torch.equal(*made)


def test_equal_ways_of_inversion_share_their_trajectories(net):
    def way(**options):
        return hsx.TransferConfig(LOW, t_edit=0, t_boost=0, **options).resolved(net).inversion

    usual = way(inversion_steps=4, generation_steps=4, t_start=272)
    assert usual == {"steps": 4, "t_start": 272} == way(spacing=[0, 90, 181, 272])
    assert usual == way(inversion_steps=12, generation_steps=12)  # of 12 timesteps up to 999 those up to 272
    assert way(spacing=[0, 45, 181, 272]) == {"timesteps": [0, 45, 181, 272]}
    assert len({str(way(**one)) for one in (dict(solver=Multistep2M()), dict(inverter=2), dict(spacing="mixed"))}) == 3


# ------------------------------------------------------------------------------------------------ D left out
class Decoding(Wrapped):
    """Counts the calls of D."""

    calls = 0

    def decode(self, b):
        self.calls += 1
        return super().decode(b)


@pytest.mark.parametrize(
    "options, calls",
    [
        (dict(), 2 * 6 - 1),  # none of the style's own to the clean picture
        (dict(schedule=Constant(0.0)), 6),
        (dict(injection_steps=3), 6 + 3 - 1),
        (dict(style_eps="first"), 6 + 1),
        (dict(style_eps="first", injection_steps=1), 6 + 1),
        (dict(calibrator=Latent(0.3)), 3 * 6),
        (dict(donor=Renoised()), 2 * 6),
        (dict(same_strength_as=50), 2 * 6 - 1),  # at t = 0 one injection stands for one
    ],
    ids=named,
)
def test_what_is_multiplied_by_zero_is_not_computed(net, images, options, calls):
    net = Decoding(net)
    transfer = hsx.Transfer(
        net,
        **{"schedule": Constant(1.0), **dict(inversion_steps=6, generation_steps=6, t_edit=0, t_boost=0), **options},
    )
    content, style = transfer.contents(images[0]), transfer.invert(images[1], ())
    net.calls = 0
    assert torch.isfinite(transfer.inject(content, style)).all() and net.calls == calls
