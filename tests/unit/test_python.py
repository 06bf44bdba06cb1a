"""From Python: what is taken as a picture, a number or a strategy, and what is refused, each in one line."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image

import hsx
from hsx.backbones.hooked import HookedBackbone
from hsx.io.images import read_image, read_mask
from hsx.pairs.sources import find_images
from hsx.strategies import (
    Constant,
    Frobenius,
    IteratedLatent,
    Latent,
    Lerp,
    Linear,
    Masked,
    Slerp,
    SphericalMean,
    Table,
)

from ..conftest import picture
from .test_unet2d import tiny

STEPS = {"inversion_steps": 4, "generation_steps": 4}


@pytest.fixture(scope="module")
def net(tiny_model):
    return hsx.load_backbone(tiny_model)


@pytest.fixture
def transfer(net):
    return hsx.Transfer(net, **STEPS)


@pytest.fixture
def path(tmp_path):
    return picture(tmp_path / "p.png", 1, (30, 20))


def batch(n=2, size=16):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def refused(act, said: str) -> None:
    with pytest.raises(hsx.HsxError, match=said) as caught:
        act()
    text = str(caught.value)
    assert "\n" not in text and "expected" in text and "got" in text and "; " in text, text


def test_paths_and_pil_pictures_are_what_their_tensors_are(net, transfer, path):
    for fit in ("crop", "pad", "stretch"):
        transfer = hsx.Transfer(net, fit=fit, **STEPS)
        image = read_image(path, 16, fit)[None]
        expected = transfer(image, image.flip(3))
        with Image.open(path) as opened:
            for one in (path, str(path), [path], (str(path),), opened, [opened]):
                assert torch.equal(transfer(one, image.flip(3)), expected)
        assert torch.equal(hsx.invert(net, path, 4, fit=fit).x_T, hsx.invert(net, image, 4).x_T)
        assert torch.equal(transfer.invert([path, str(path)]).h, transfer.invert(image.repeat(2, 1, 1, 1)).h)
    demo = hsx.Transfer(hsx.load_backbone("hsx://demo_faces"), **STEPS)
    name = find_images("hsx://demo_faces/contents")[0].name
    assert demo.invert(f"hsx://demo_faces/contents/{name}").x_T.shape == (1, 3, 64, 64)


def test_arrays_of_floats_are_tensors(transfer):
    assert torch.equal(transfer(batch().numpy(), batch()), transfer(batch(), batch()))
    assert transfer(batch().numpy()[:, :, ::-1], batch()).shape == (2, 3, 16, 16)  # strides below 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floats_of_any_width_work(net, dtype):
    hooked = HookedBackbone(tiny(), sample_size=16)
    for backbone in (net, hooked):
        transfer = hsx.Transfer(backbone, **STEPS)
        out = transfer(batch().to(dtype), batch().to(dtype))
        assert out.dtype == dtype and torch.isfinite(out).all()


@pytest.mark.parametrize(
    "given, said",
    [
        (torch.zeros(1, 3, 16, 16, dtype=torch.uint8), r"floats in \[-1, 1\], got torch.uint8; give x / 127.5 - 1"),
        (torch.zeros(1, 3, 16, 16, dtype=torch.int64), "got torch.int64; give x / 127.5 - 1"),
        (torch.zeros(1, 3, 16, 16, dtype=torch.bool), "got torch.bool"),
        (torch.zeros(1, 3, 16, 16, dtype=torch.complex64), "got torch.complex64"),
        (np.zeros((1, 3, 16, 16), np.uint8), "got torch.uint8"),
        (np.zeros((1, 3, 16, 16), np.uint16), "got torch.uint16"),
        (np.zeros((16, 16, 3), np.float32), r"shape \(B, 3, 16, 16\), got \(16, 16, 3\)"),
        (np.array([object()]), "got an array of object"),
        (torch.zeros(3, 16, 16), r"got \(3, 16, 16\); make it a batch of one with x\[None\]"),
        (torch.zeros(1, 16, 16, 3), "put the channels first with x.permute"),
        (torch.zeros(1, 1, 16, 16), "make grey RGB with x.expand"),
        (torch.zeros(1, 4, 16, 16), r"leave the transparency away with x\[:, :3\]"),
        (torch.zeros(1, 3, 15, 16), "crop and resize them to 16 x 16"),
        (torch.zeros(0, 3, 16, 16), "at least one picture, got none"),
        (torch.zeros(()), r"got \(\)"),
        (batch().mul(127.5).add(127.5), "got .* to .*; give x / 127.5 - 1"),
        (batch() * 3, "scale them, or clamp them"),
        (batch() + float("nan"), "got nan or inf"),
        (batch() / 0, "got nan or inf"),
        (None, r"got None \(of type NoneType\)"),
        (3, "got 3; give one of these"),
        (0.5, "got 0.5"),
        (b"c.png", "of type bytes"),
        ([], "got an empty list"),
        ([3], "got 3 at place 0"),
        (["p.png", None], r"got None \(of type NoneType\) at place 1"),
        ([torch.zeros(3, 16, 16)], "a list of Tensors; make one tensor of them with torch.stack"),
        ({"a": 1}, "of type dict"),
        (slice(None), "of type slice"),
    ],
)
def test_what_is_no_picture_is_refused(net, transfer, given, said):
    for act in (
        lambda: transfer(given, batch()),
        lambda: transfer(batch(), given),
        lambda: transfer.invert(given),
        lambda: hsx.invert(net, given),
    ):
        refused(act, said)


def test_a_picture_that_cannot_be_read_is_named(transfer, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    for wrong in (tmp_path / "text.png", tmp_path / "nowhere.png", tmp_path):
        with pytest.raises(hsx.ImageError, match=f"{wrong}: expected a picture, could not read it"):
            transfer(wrong, batch(1))


def test_rounding_beyond_one_is_taken_as_it_is(transfer):
    assert torch.equal(transfer.invert(batch() * 1.0005).x_T, transfer.invert(batch() * 1.0005).x_T)


@pytest.mark.parametrize(
    "option, value, said",
    [
        ("schedule", 0.3, r"a BlendingSchedule, got 0.3; give one of hsx.strategies, such as Constant\(0.3\)"),
        ("schedule", 0, "got 0"),
        ("schedule", "", "not a name"),
        ("schedule", Slerp(), "of type Slerp"),
        ("normalizer", "Frobenius", r"a Normalizer, got Frobenius \(of type str\); give an object"),
        ("blend", Slerp, r"a Blend, got the class Slerp; give an object, Slerp\(…\)"),
        ("blend", lambda h, c, g, m: h, "of type function"),
        ("calibrator", Frobenius(), "a Calibrator, got"),
        ("calibrator", 0.3, "a Calibrator, got 0.3"),
        ("t_edit", "400", r"got 400 \(of type str\)"),
        ("t_edit", 400.0, "whole number, got 400.0"),
        ("t_start", True, "got True"),
        ("t_boost", None.__class__, "got the class NoneType"),
        ("t_boost", 1.5, "got 1.5"),
        ("inversion_steps", 50.0, "whole number, got 50.0"),
        ("inversion_steps", True, "got True"),
        ("generation_steps", "50", r"got 50 \(of type str\)"),
        ("generation_steps", None, "got None"),
        ("injection_steps", 2.5, "got 2.5"),
        ("injection_steps", "50", "of type str"),
        ("injection_steps", [], "got "),
        ("injection_steps", [0.5], "got "),
        ("injection_steps", True, "got True"),
        ("seed", -1, "got -1"),
        ("seed", "x", "got x"),
        ("seed", 1.0, "got 1.0"),
        ("dt_lambda", "1", r"got 1 \(of type str\)"),
        ("dt_end", -1, "got -1"),
        ("dt_end", "x", "got x"),
        ("fit", "cover", "crop, pad, stretch, got cover"),
        ("fit", None, "got None"),
        ("backbone", "hsx://demo_faces", r"got hsx://demo_faces .*; give hsx.load_backbone\('hsx://demo_faces'\)"),
        ("backbone", None, "a Backbone, got None"),
    ],
)
def test_options_of_a_transfer(net, option, value, said):
    refused(lambda: hsx.Transfer(**{"backbone": net, option: value}), f"^{option}: expected .*{said}")


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda: Constant("0.3"), "gamma: .*got 0.3 .of type str."),
        (lambda: Constant(None), "got None"),
        (lambda: Linear(start="x"), "start: .*got x"),
        (lambda: Table(0.3), "values: .*got 0.3"),
        (lambda: Table("0.3"), "values: .*of type str"),
        (lambda: Table([0.3, "a"]), "values: .*got a"),
        (lambda: Latent("0.3"), "omega: .*of type str"),
        (lambda: Latent(True), "omega: .*got True"),
        (lambda: IteratedLatent(max_iterations=1.5), "max_iterations: .*got 1.5"),
        (lambda: IteratedLatent(tolerance=None), "tolerance: "),
        (lambda: Masked(None), "mask: expected the path"),
        (lambda: Masked(3), "mask: .*got 3"),
        (lambda: SphericalMean("a.png"), "contents: expected a list of paths"),
        (lambda: SphericalMean(["a.png"], 0.5), "weights: expected a list of numbers, got 0.5"),
        (lambda: SphericalMean(["a.png"], ["x", "y"]), "weights: expected numbers"),
    ],
)
def test_options_of_strategies(make, said):
    refused(make, said)


def test_a_blend_inside_a_mask_is_an_object(path):
    refused(lambda: Masked(path, Lerp), "blend: .*got the class Lerp")
    assert Masked(path).config()["init_args"]["mask"] == str(path)


@pytest.mark.parametrize(
    "given, said",
    [
        ({"mask": torch.ones(2, 1, 16, 16, dtype=torch.uint8)}, "got torch.uint8; give mask.float() / 255"),
        ({"mask": torch.ones(2, 1, 16, 16, dtype=torch.bool)}, "got torch.bool; give mask.float()"),
        ({"mask": torch.ones(2, 3, 16, 16)}, "got (2, 3, 16, 16); resize it"),
        ({"mask": torch.ones(0, 1, 16, 16)}, "got (0, 1, 16, 16); resize it"),
        ({"mask": torch.full((2, 1, 16, 16), float("nan"))}, "got nan"),
        ({"mask": "mask.png"}, "got mask.png"),
        ({"mask": np.ones((2, 1, 16, 16))}, "of type ndarray"),
        ({"noise": 3}, "a function that draws it, got 3"),
        (
            {"gamma": torch.ones(3)},
            "expected a tensor of shape (2,), one number a row, got torch.float32 of shape (3,)",
        ),
        ({"gamma": torch.ones(2, 1, 1, 1)}, "of shape (2, 1, 1, 1)"),
        ({"gamma": 0.5}, "got 0.5"),
        ({"gamma": torch.tensor([0.5, 1.5])}, "got [0.5, 1.5]"),
        ({"gamma": torch.tensor([True, True])}, "torch.bool"),
    ],
)
def test_what_else_inject_is_given(transfer, given, said):
    import re

    content = transfer.invert(batch())
    refused(lambda: transfer.inject(content, content, **given), f"^{[*given][0]}: .*{re.escape(said)}")


def test_trajectories_of_another_network(transfer):
    refused(lambda: transfer.inject(batch(), batch()), "content: expected a Trajectory, got")
    content = transfer.invert(batch())
    other = hsx.Transfer(hsx.load_backbone("hsx://demo_faces"), **STEPS).invert(batch(2, 64))
    refused(lambda: transfer.inject(other, content), r"with h of \(16, 8, 8\), got features of shape")
    refused(lambda: transfer(batch(2), batch(1)), "got 2 contents and 1 styles")


@pytest.mark.parametrize(
    "given, said",
    [
        ({"sample_size": "16"}, r"sample_size: expected a whole number, .*, got 16 \(of type str\)"),
        ({"sample_size": True}, "sample_size: .*got True"),
        ({"sample_size": 0}, "sample_size: expected 1 or more"),
        ({"sample_size": 16.0}, "sample_size: .*got 16.0"),
        ({"schedule": "linear"}, "schedule: .*got linear"),
        ({"schedule": [0.1, 0.2]}, "schedule: expected a hsx.NoiseSchedule"),
        ({"bottleneck": 3}, "bottleneck: .*got 3"),
        ({"module": "unet"}, "module: expected a torch.nn.Module, got unet"),
        ({"prediction": "v"}, "prediction: .*got v"),
        ({"prediction": None}, "prediction: expected epsilon, v_prediction or sample, got None"),
    ],
)
def test_arguments_of_a_hooked_backbone(given, said):
    refused(lambda: HookedBackbone(**{"module": tiny(), "sample_size": 16, **given}), said)


# ----------------------------------------------------------------------------------------------------- injections
@pytest.mark.parametrize(
    "given, level, said",
    [
        ({"generation_steps": 10, "t_edit": 0}, None, None),
        ({"generation_steps": 4, "t_edit": 0, "schedule": ("Interval", 45, 0)}, "WARNING", "above 0 at t = 0 alone"),
        ({"generation_steps": 4, "t_edit": 0, "schedule": ("Interval", 45, 10)}, "WARNING", "above 0 at none of them"),
        ({"generation_steps": 8, "injection_steps": 1, "t_edit": 0}, "WARNING", "of 8 generation steps 1 may inject"),
        ({"generation_steps": 8, "t_edit": 1000}, "INFO", "0 may inject (t >= t_edit 1000)"),
        ({"generation_steps": 8, "t_edit": 0, "schedule": ("Constant", 0.0)}, "INFO", "the styles come back"),
    ],
)
def test_a_word_where_hardly_anything_is_injected(net, caplog, given, level, said):
    name, *values = given.get("schedule", ("Constant", 0.3))
    kind = getattr(hsx.strategies, name)
    schedule = kind(1.0, *values) if name == "Interval" else kind(*values)
    with caplog.at_level(logging.INFO, "hsx"):
        hsx.Transfer(net, **{**given, "schedule": schedule})
    told = [record for record in caplog.records if "inject" in record.message]
    assert [record.levelname for record in told] == ([level] if level else [])
    assert not said or said in told[0].message and "\n" not in told[0].message


def test_more_injections_than_steps_are_all(net):
    assert hsx.Transfer(net, injection_steps=400, **STEPS).injection_timesteps == {0, 333, 666, 999}
    assert hsx.Transfer(net, injection_steps=400, **STEPS).injection_steps == 4


def test_a_text_is_a_path_everywhere(path, monkeypatch):
    monkeypatch.setenv("HOME", str(path.parent))
    for given in (str(path), f"~/{path.name}"):
        assert torch.equal(read_image(given, 16), read_image(path, 16))
        assert torch.equal(read_mask(given, 16), read_mask(path, 16))
    refused(lambda: read_image(b"a.png", 16), "expected the path of a picture, got b'a.png'")
    refused(lambda: read_mask(np.zeros((2, 2)), 16), "expected the path of a picture, got ")
    refused(lambda: hsx.load_backbone(5), "source: expected a file, a folder, a Hub id or a URL, got 5")
    with pytest.raises(hsx.BackboneError, match="found nothing there"):
        hsx.load_backbone("a" * 5000)


def test_numbers_of_numpy_are_numbers(net):
    def make(kind):
        return hsx.Transfer(
            net,
            seed=kind(3),
            t_boost=kind(999),
            t_edit=kind(0),
            inversion_steps=kind(4),
            generation_steps=kind(4),
            injection_steps=[kind(999), kind(0)],
        )

    assert torch.equal(make(np.int64)(batch(), batch()), make(int)(batch(), batch()))
    assert type(make(np.int64).seed) is int and all(type(t) is int for t in make(np.int64).injection_steps)


@pytest.mark.parametrize(
    "noise", [lambda x: torch.zeros(1), lambda x: None, lambda x: "a", lambda x: x.long(), lambda x: x[:1]]
)
def test_noise_that_is_none_is_refused(net, noise):
    transfer = hsx.Transfer(net, t_boost=999, t_edit=0, **STEPS)
    refused(lambda: transfer(batch(), batch(), noise=noise), "noise: expected it to draw floats of shape")


def test_timesteps_that_are_none_of_the_generation_s_are_said(net, caplog):
    hsx.Transfer(net, injection_steps=[999, 666, 665, 5], t_edit=0, **STEPS)
    assert "2 of 4 timesteps are none of the generation's and inject nothing, such as 5" in caplog.text
