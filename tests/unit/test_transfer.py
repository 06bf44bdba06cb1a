"""The loop and the step against a naive reference, and what batches, masks and odd inputs must not change."""

import copy

import pytest
import torch

import hsx
from hsx.io.images import read_image
from hsx.method.inversion import Trajectory
from hsx.method.noise import SampleNoise
from hsx.method.step import transfer_step
from hsx.pairs.sources import find_images
from hsx.strategies import (
    AdaIN,
    Constant,
    Frobenius,
    Identity,
    Latent,
    Multistep2M,
    MultistepV,
    Renoised,
    Slerp,
)

from ..golden import FOLDER
from ..reference import naive

BASE = dict(inversion_steps=8, generation_steps=8, t_boost=0)


@pytest.fixture(scope="module")
def net(tiny_model):
    backbone = hsx.load_backbone(tiny_model)
    torch.manual_seed(1)
    for p in backbone.parameters():  # a stronger network than a fresh one, so that h matters
        p.mul_(1.1)
    return backbone


@pytest.fixture(scope="module")
def images():
    coarse = torch.rand(16, 3, 4, 4, generator=torch.Generator().manual_seed(2)) * 2 - 1
    whole = torch.nn.functional.interpolate(coarse, size=16, mode="bicubic").clamp(-1, 1)
    return whole[:8], whole[8:]


SITES = {"h": 1.0, "down_blocks.0.resnets.0": 0.4, "skip@R/2": 0.8}
PLACES = dict(sites=(("h", 1.0), (1, 0.4), (3, 0.8)))  # the same as places among the skips


def soft_mask(n):
    mask = torch.zeros(n, 1, 16, 16)
    mask[:, :, 3:13, 2:9] = 1
    return mask


LISTED = [0, 20, 60, 100, 300, 500, 700, 999]
BETWEEN = dict(
    t_start=999, injection_steps=naive.spaced_mixed(8, 0, 999, 0.5)[2:5], t_edit=0
)  # plain steps around them
AT_MIXED = dict(injections=tuple(BETWEEN["injection_steps"]), t_edit=0, grid=naive.spaced_mixed(8, 0, 999, 0.5))
CASES = {
    "gamma 0": ({}, dict(gamma=0.0)),
    "plain": ({}, dict(gamma=0.3)),
    "gamma 1": ({}, dict(gamma=1.0)),
    "calibrated": (dict(calibrator=Latent(0.3)), dict(gamma=0.5, omega=0.3)),
    "t_edit on a step": (dict(t_edit=428), dict(gamma=0.5, t_edit=428)),
    "t_edit off a step": (dict(t_edit=429), dict(gamma=0.5, t_edit=429)),
    "t_start": (dict(t_start=700, t_edit=0), dict(gamma=0.5, last=700, t_edit=0)),
    "moments": (dict(normalizer=AdaIN()), dict(gamma=0.5, norm=naive.moments)),
    "no norm": (dict(normalizer=Identity()), dict(gamma=0.5, norm=lambda c, h: c)),
    "four injections": (dict(injection_steps=4, t_edit=0), dict(gamma=0.5, t_edit=0, injections=(0, 285, 570, 999))),
    "named injections": (dict(injection_steps=[999, 570]), dict(gamma=0.5, injections=(999, 570))),
    "direction": (dict(dt_lambda=0.9, dt_end=800), dict(gamma=0.5, dt_lambda=0.9, dt_end=800)),
    "direction with calibration": (
        dict(calibrator=Latent(0.3), t_edit=0, dt_lambda=0.9, dt_end=0),
        dict(gamma=0.5, omega=0.3, dt_lambda=0.9, dt_end=0, t_edit=0),
    ),
    "boost": (dict(t_boost=300, t_edit=0), dict(gamma=0.5, t_boost=300, t_edit=0)),
    "more generation": (dict(generation_steps=15), dict(gamma=0.5, generation=15)),
    "mask": ({}, dict(gamma=0.6)),
    "sites and a mask": (dict(sites=SITES), dict(gamma=0.6, **PLACES)),
    "moments at sites": (dict(sites=SITES, normalizer=AdaIN()), dict(gamma=0.5, norm=naive.moments, **PLACES)),
    "renoised sites": (
        dict(sites=SITES, donor=Renoised(), normalizer=AdaIN(), t_edit=0),
        dict(gamma=0.7, norm=naive.moments, t_edit=0, renoised=True, **PLACES),
    ),
    "renoised sites and a mask": (dict(sites=SITES, donor=Renoised()), dict(gamma=0.6, renoised=True, **PLACES)),
    "2M, mixed": (dict(solver=Multistep2M(), spacing="mixed", **BETWEEN), dict(gamma=0.5, solver="2m", **AT_MIXED)),
    "v, mixed": (dict(solver=MultistepV(), spacing="mixed", **BETWEEN), dict(gamma=0.5, solver="v", **AT_MIXED)),
    "2M, from where it injects": (
        dict(solver=Multistep2M(), injection_steps=[428, 142], t_edit=0),
        dict(gamma=0.5, solver="2m", injections=(428, 142), t_edit=0, grid=[0, 142, 285, 428]),
    ),
    "2M, noise and a direction": (
        dict(solver=Multistep2M(), injection_steps=[999, 570, 428, 285], t_edit=400, t_boost=300, dt_lambda=0.9),
        dict(gamma=0.5, solver="2m", injections=(999, 570, 428, 285), t_edit=400, t_boost=300, dt_lambda=0.9),
    ),
    "2M, split": (
        dict(solver=Multistep2M(), spacing="split", injection_steps=[0, 150, 300], t_edit=0, t_start=999),
        dict(gamma=0.5, solver="2m", injections=(0, 150, 300), t_edit=0, grid=naive.spaced_split(8, 300, 999)),
    ),
    "log-SNR and one look": (
        dict(spacing="logsnr", inverter=1),
        dict(gamma=0.5, grid=naive.spaced_mixed(8, 0, 999, 1.0), looks=1),
    ),
    "three looks": (dict(inverter=3, t_edit=0, spacing=LISTED), dict(gamma=0.5, t_edit=0, looks=3, grid=LISTED)),
    "same strength, a share of log-SNR": (
        dict(same_strength_as=50, t_edit=0, spacing="mixed:0.2"),
        dict(gamma=0.1, same_as=50, t_edit=0, grid=naive.spaced_mixed(8, 0, 999, 0.2)),
    ),
    "same strength, uneven and calibrated": (
        dict(same_strength_as=20, t_edit=0, injection_steps=[20, 300, 700], spacing=LISTED, calibrator=Latent(0.3)),
        dict(gamma=0.1, same_as=20, t_edit=0, injections=(20, 300, 700), grid=LISTED[:-1], omega=0.3),
    ),
    "the style's direction first": (dict(style_eps="first", t_edit=0), dict(gamma=1.0, style_first=True, t_edit=0)),
    "calibrated sites": (
        dict(sites=SITES, donor=Renoised(), calibrator=Latent(0.3)),
        dict(gamma=0.5, omega=0.3, renoised=True, **PLACES),
    ),
}


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_the_naive_reference_says_the_same(net, images, name):
    ours, its = CASES[name]
    net, images = copy.deepcopy(net).double(), [v.double() for v in images]
    transfer = hsx.Transfer(net, Constant(its["gamma"]), **{**BASE, **ours})
    mask = soft_mask(2).double() if name.endswith("mask") else None
    contents, styles = (v[:2] for v in images)
    names, content, style = ["a", "b"], transfer.contents(contents), transfer.invert(styles)
    got = transfer.inject(content, style, mask, SampleNoise(0, names))
    for row in range(2):
        alone, like = SampleNoise(0, [names[row]]), torch.empty(1, 3, 16, 16, dtype=torch.float64)
        draws = [alone(like)[0] for _ in range(4)]
        expected = naive.transfer(
            net, contents[row], styles[row], draws=draws, mask=None if mask is None else mask[row], **its
        )
        assert float((got[row] - expected).abs().max()) < 1e-3
    if name not in ("gamma 0", "t_edit off a step"):
        plain = transfer.inject(content, style, noise=SampleNoise(0, names), gamma=torch.zeros(2))
        assert float((got - plain).abs().max()) > 1e-2  # the case is not empty


def everything(net) -> hsx.Transfer:
    return hsx.Transfer(
        net, Constant(0.5), normalizer=AdaIN(), calibrator=Latent(0.3), t_edit=0, **{**BASE, "t_boost": 400}
    )


def test_results_do_not_depend_on_the_batch():
    demo, names = hsx.load_backbone("hsx://demo_faces"), [f"pair {i}" for i in range(8)]
    contents = torch.stack([read_image(p, demo.sample_size) for p in find_images("hsx://demo_faces/contents")])
    styles = torch.stack(
        [read_image(p, demo.sample_size) for s in ("styles", "outside") for p in find_images(f"hsx://demo_faces/{s}")]
    )[:8]
    transfer = hsx.Transfer(
        demo,
        Constant(0.5),
        normalizer=AdaIN(),
        calibrator=Latent(0.3),
        t_start=700,
        t_edit=0,
        inversion_steps=12,
        generation_steps=12,
        t_boost=200,
    )
    mask = torch.nn.functional.interpolate(soft_mask(8), demo.sample_size)
    whole = transfer.inject(transfer.invert(contents), transfer.invert(styles), mask, SampleNoise(0, names))
    for size in (1, 3):
        for i in range(0, 8, size):
            rows = slice(i, i + size)
            part = transfer.inject(
                transfer.invert(contents[rows]), transfer.invert(styles[rows]), mask[rows], SampleNoise(0, names[rows])
            )
            torch.testing.assert_close(part, whole[rows], atol=1e-4, rtol=0)


def test_the_seed_decides_the_noise(net, images):
    def result(seed):
        return hsx.Transfer(net, Constant(0.5), t_edit=0, seed=seed, **{**BASE, "t_boost": 400})(*images)

    assert torch.equal(result(0), result(0)) and not torch.equal(result(0), result(1))


@torch.no_grad()
def test_timesteps_and_gammas_may_differ_within_a_batch(net, images):
    x, h = images[0][:4], torch.randn(4, *net.h_shape)
    t, t_next = torch.tensor([999, 500, 3, 0]), torch.tensor([888, 400, 0, -1])
    gamma, eta = torch.tensor([0.3, 0.0, 1.0, 0.5]), torch.tensor([0.0, 1.0, 1.0, 0.0])
    noise = torch.randn(4, 3, 16, 16)
    moves = (Slerp(), Frobenius(), Latent(0.3))
    together = transfer_step(net, x, t, t_next, *at_h(h), gamma, *moves, eta=eta, noise=noise)
    for i in range(4):
        r = slice(i, i + 1)
        alone = transfer_step(net, x[r], t[r], t_next[r], *at_h(h[r]), gamma[r], *moves, eta=eta[r], noise=noise[r])
        torch.testing.assert_close(together[r], alone, atol=1e-4, rtol=1e-4)


def at_h(content_h):
    """A donor of this alone, and where it goes in."""
    return lambda state: {"h": content_h}, {"h": 1.0}


def test_rows_with_gamma_0_do_not_look_at_the_content(net, images):
    x, t = images[0][:2], torch.tensor([500, 500])
    broken = torch.full((2, *net.h_shape), float("nan"))
    good = torch.zeros(2, *net.h_shape)
    good[1] = 1
    gamma = torch.tensor([0.0, 0.5])
    for content_h in (torch.stack([broken[0], good[1]]), good):
        got = transfer_step(net, x, t, t - 100, *at_h(content_h), gamma, Slerp(), Frobenius(), Latent(0.3))
        plain = transfer_step(net, x, t, t - 100, *at_h(good), gamma * 0, Slerp(), Frobenius(), Latent(0.3))
        torch.testing.assert_close(got[0], plain[0], atol=1e-5, rtol=0)
        assert torch.isfinite(got).all()


def test_no_argument_is_changed(net, images):
    transfer, mask = everything(net), soft_mask(8)
    content, style = transfer.invert(images[0]), transfer.invert(images[1])
    before = [v.clone() for v in (*images, mask, content.x_T, content.h, style.x_T, style.h)]
    transfer.inject(content, style, mask)
    transfer(*images)
    assert all(
        torch.equal(a, b)
        for a, b in zip(before, (*images, mask, content.x_T, content.h, style.x_T, style.h), strict=True)
    )


def test_identical_content_and_style_and_a_zero_h(net, images):
    same = everything(net)(images[0], images[0])
    assert torch.isfinite(same).all() and same.abs().max() <= 1
    paper = hsx.Transfer(net, Constant(0.5), **BASE)
    content, style = paper.invert(images[0]), paper.invert(images[1])
    zero = Trajectory(content.x_T, {"h": torch.zeros_like(content.h)}, content.timesteps, content.t_start)
    assert torch.isfinite(paper.inject(zero, style)).all()


def test_the_recorded_timestep_nearest_to_t_and_of_two_the_larger():
    h = torch.arange(3.0).reshape(1, 3, 1, 1, 1)
    trajectory = Trajectory(torch.zeros(1, 3, 4, 4), {"h": h}, (0, 100, 200), 300)
    assert [float(trajectory.h_at(t)) for t in (0, 49, 50, 51, 150, 151, 999)] == [0, 0, 1, 1, 2, 2, 2]
    assert [float(trajectory.features_at(torch.tensor([t]))["h"]) for t in (50, 151)] == [1, 2]


def test_precisions_and_inference_mode(tiny_model, images):
    for dtype in (torch.float64, torch.bfloat16):
        net = hsx.load_backbone(tiny_model).to(dtype)
        with torch.inference_mode():
            result = everything(net)(images[0][:2].to(dtype), images[1][:2].to(dtype))
        assert result.dtype == dtype and torch.isfinite(result).all()


def test_paper_at_every_step(net):
    assert hsx.Transfer.paper(net, generation_steps=20, content_replace_step=-1).injection_timesteps == set(
        naive.times(20, 999)
    )
    assert len(hsx.Transfer.paper(net).injection_timesteps) == 50
    assert len(hsx.Transfer(net, generation_steps=200).injection_timesteps) == 50
    assert hsx.Transfer(net, injection_steps=1).injection_timesteps == {999}


@pytest.mark.parametrize(
    "option, value",
    [
        ("inversion_steps", 1),
        ("generation_steps", 1001),
        ("injection_steps", 0),
        ("t_start", 1000),
        ("t_edit", -1),
        ("t_edit", 1001),
        ("t_boost", 1000),
        ("dt_lambda", 1.5),
        ("dt_lambda", float("nan")),
    ],
)
def test_values_out_of_range_are_refused_by_name(net, option, value):
    with pytest.raises(hsx.HsxError, match=f"^{option}: expected .*, got {value}; ") as caught:
        hsx.Transfer(net, **{option: value})
    assert "\n" not in str(caught.value)


def test_what_does_not_fit_together_is_refused(net, images):
    transfer = hsx.Transfer(net, **BASE)
    content = transfer.invert(images[0][:2])
    with pytest.raises(hsx.HsxError, match="got 2 contents and 1 styles"):
        transfer.inject(content, transfer.invert(images[1][:1]))
    with pytest.raises(hsx.HsxError, match="got 500; invert them"):
        transfer.inject(content, hsx.invert(net, images[1][:2], 8, 500))
    for mask in (torch.zeros(2, 1, 8, 8), torch.zeros(3, 1, 16, 16), torch.full((2, 1, 16, 16), 3.0)):
        with pytest.raises(hsx.HsxError, match="^mask: expected shape .* resize it"):
            transfer.inject(content, content, mask)
    with pytest.raises(hsx.HsxError, match="injection_steps: expected some of the generation's timesteps"):
        hsx.Transfer(net, injection_steps=[500], **BASE)
    wild = hsx.Transfer(net, **BASE)
    wild.schedule.value = 1.2
    with pytest.raises(hsx.HsxError, match="schedule: expected 0 to 1 .*got 1.2"):
        wild.inject(content, content)
    wild.schedule.value = "a half"
    with pytest.raises(hsx.HsxError, match="schedule: expected 0 to 1 .*got a half"):
        wild.inject(content, content)
    with pytest.raises(hsx.HsxError, match=r"expected images of shape \(B, 3, 16, 16\), got \(2, 3, 15, 16\)"):
        transfer.invert(images[0][:2, :, 1:])
    with pytest.raises(hsx.HsxError, match="t_start: expected at most 999"):
        hsx.invert(net, images[0], 8, 1000)


def test_defaults_scale_with_the_models_timesteps():
    net = hsx.load_backbone(
        FOLDER / "iddpm" / "plain.pt",
        image_size=16,
        num_heads=4,
        schedule="cosine",
        num_train_timesteps=4000,
        rescale_timesteps=True,
    )
    transfer = hsx.Transfer(net, inversion_steps=5, generation_steps=5)
    assert (transfer.t_start, transfer.t_edit, transfer.t_boost, transfer.dt_end) == (3999, 1600, 800, 3800)
    assert hsx.invert(net, torch.zeros(1, 3, 16, 16), steps=3).timesteps == (0, 1999)


def test_a_config_and_its_fields_are_the_same_settings(net, images):
    config = hsx.TransferConfig(Constant(0.5), normalizer=AdaIN(), inversion_steps=4, generation_steps=4, t_boost=0)
    options = dict(normalizer=AdaIN(), inversion_steps=4, generation_steps=4, t_boost=0)
    expected = hsx.Transfer(net, Constant(0.5), **options)(images[0][:2], images[1][:2])
    transfer = hsx.Transfer(net, config)
    assert torch.equal(transfer(images[0][:2], images[1][:2]), expected)
    assert transfer.config.t_edit == transfer.t_edit == 400 and config.t_edit is None  # filled in on a copy
    changed = hsx.Transfer(net, config, t_edit=0)
    assert changed.t_edit == 0 and not torch.equal(changed(images[0][:2], images[1][:2]), expected)
    assert transfer.normalizer is not config.normalizer  # what a strategy keeps is the transfer's own
    for options in (dict(gama=1), dict(t_edit=1, nothing=2)):
        with pytest.raises(TypeError, match="unexpected keyword"):
            hsx.Transfer(net, config, **options)
    with pytest.raises(AttributeError, match="nothing"):
        transfer.nothing  # noqa: B018
    assert copy.deepcopy(transfer).t_edit == 400
