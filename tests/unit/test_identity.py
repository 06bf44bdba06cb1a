"""A backbone's fingerprint and a module's settings: whatever changes a picture changes them, option by option.

The tables name every option there is; one that is added and forgotten here fails.
"""

import copy
import inspect
import math
import os
import re
import subprocess
import sys
from collections import deque
from dataclasses import fields
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
import torch
from diffusers import UNet2DModel
from diffusers.models.attention_processor import Attention
from torch import nn

import hsx
from hsx.backbones.hooked import HookedBackbone
from hsx.backbones.unet2d import UNet2DBackbone
from hsx.checkpoints.export import export
from hsx.checkpoints.options import Options
from hsx.io.fingerprint import fingerprint
from hsx.method.config import TransferConfig
from hsx.runner.model import TransferModel
from hsx.schedule import NoiseSchedule
from hsx.strategies import (
    DDIM,
    Constant,
    Frobenius,
    Identity,
    Latent,
    Lerp,
    Masked,
    Multistep2M,
    Renoised,
    Slerp,
    SphericalMean,
)

from ..conftest import picture
from ..golden import FOLDER
from .test_unet2d import tiny

LINEAR = NoiseSchedule.linear()


def names_of(function) -> set[str]:
    return {name for name in inspect.signature(function).parameters if name != "self"}


# ------------------------------------------------------------------------------------------- load_backbone's options
CLASSES = FOLDER / "adm" / "class_cond.pt"
BASE = {"image_size": 32, "num_head_channels": 16, "class_label": 0, "schedule": "linear"}
OPTIONS = {
    "image_size": {"image_size": 64},
    "num_heads": {"num_heads": 1, "num_head_channels": None},
    "num_head_channels": {"num_head_channels": 32},
    "attention_order": {"attention_order": "new"},
    "schedule": {"schedule": "cosine"},
    "num_train_timesteps": {"num_train_timesteps": 500},
    "rescale_timesteps": {"rescale_timesteps": True, "num_train_timesteps": 500},
    "class_label": {"class_label": 1},
    "prediction_type": {"prediction_type": "v_prediction"},
    "dtype": {"dtype": "float64"},
}
NO_OPTIONS = {  # and why
    "device": "the same network elsewhere",
    "family": "how a file is read; what is read of it counts",
    "sha256": "whether a file is the right one",
}


def test_every_option_of_load_backbone_is_in_a_table():
    assert {field.name for field in fields(Options)} == set(OPTIONS) | set(NO_OPTIONS)


def test_every_option_of_load_backbone_changes_the_fingerprint():
    found = {name: hsx.load_backbone(CLASSES, **{**BASE, **change}).fingerprint() for name, change in OPTIONS.items()}
    found["nothing"] = hsx.load_backbone(CLASSES, **BASE).fingerprint()
    found["500 timesteps, not rescaled"] = found["num_train_timesteps"]
    assert len(set(found.values())) == len(OPTIONS) + 1, found
    assert all(len(value) == 24 and int(value, 16) for value in found.values())
    assert hsx.load_backbone(CLASSES, **BASE, device="cpu", family="adm").fingerprint() == found["nothing"]


# -------------------------------------------------------------------------------------------------- UNet2DBackbone
UNET2D = {
    "unet": lambda: UNet2DBackbone(tiny(norm_eps=1e-3), LINEAR),
    "schedule": lambda: UNet2DBackbone(tiny(), NoiseSchedule.cosine()),
    "timestep_scale": lambda: UNet2DBackbone(tiny(), LINEAR, timestep_scale=0.25),
    "class_label": lambda: UNet2DBackbone(tiny(num_class_embeds=3), LINEAR, class_label=1),
    "prediction_type": lambda: UNet2DBackbone(tiny(), LINEAR, prediction_type="v_prediction"),
}
NO_UNET2D = {"family": "where the weights come from"}
CONFIG = {  # of UNet2DModel
    "sample_size": 32,
    "out_channels": 6,
    "center_input_sample": True,
    "freq_shift": 1,
    "flip_sin_to_cos": False,
    "down_block_types": ("DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D"),
    "block_out_channels": (16, 16),
    "layers_per_block": 2,
    "mid_block_scale_factor": 2.0,
    "downsample_padding": 0,
    "downsample_type": "resnet",
    "upsample_type": "resnet",
    "dropout": 0.1,
    "act_fn": "gelu",
    "attention_head_dim": 4,
    "norm_num_groups": 2,
    "attn_norm_num_groups": 2,
    "norm_eps": 1e-6,
    "resnet_time_scale_shift": "scale_shift",
    "add_attention": False,
    "num_class_embeds": 3,
    "num_train_timesteps": 500,
}
NO_CONFIG = {
    "in_channels": "refused unless 3",
    "time_embedding_type": "refused unless positional",
    "time_embedding_dim": "of the weights' shapes",
    "mid_block_type": "refused without a middle block",
    "class_embed_type": "refused",
}


def test_every_argument_of_unet2dbackbone_is_in_a_table_and_changes_it():
    assert names_of(UNet2DBackbone.__init__) == set(UNET2D) | set(NO_UNET2D)
    found = [
        UNet2DBackbone(tiny(), LINEAR),
        UNet2DBackbone(tiny(num_class_embeds=3), LINEAR, class_label=0),
        *(make() for make in UNET2D.values()),
    ]
    assert len({backbone.fingerprint() for backbone in found}) == len(found)
    assert UNet2DBackbone(tiny(), LINEAR, "ddpm").fingerprint() == found[0].fingerprint()


def test_every_field_of_a_unet_s_config_is_in_a_table():
    """All that diffusers has; a new one of a new version fails here."""
    known = {name for name in UNet2DModel(**dict(tiny().config)).config if name[0] != "_"}
    assert known == set(CONFIG) | set(NO_CONFIG)


def test_every_field_of_a_unet_s_config_changes_the_fingerprint():
    def backbone(**changes):
        return UNet2DBackbone(tiny(**changes), LINEAR, class_label=0 if "num_class_embeds" in changes else None)

    found = {name: backbone(**{name: value}).fingerprint() for name, value in CONFIG.items()}
    assert len({backbone().fingerprint(), *found.values()}) == len(CONFIG) + 1


def changed(change):
    unet = tiny(num_class_embeds=None)
    change(unet)
    return UNet2DBackbone(unet, LINEAR).fingerprint()


def attention(unet) -> Attention:
    return next(module for module in unet.modules() if isinstance(module, Attention))


@pytest.mark.parametrize(
    "change",
    [
        lambda unet: setattr(unet.down_blocks[0].downsamplers[0].conv, "stride", (1, 1)),
        lambda unet: setattr(unet.conv_in, "padding", (0, 0)),
        lambda unet: setattr(unet.conv_norm_out, "eps", 1e-3),
        lambda unet: setattr(attention(unet), "heads", 1),
        lambda unet: setattr(attention(unet), "rescale_output_factor", 2.0),
        lambda unet: setattr(unet, "conv_act", nn.GELU()),
        lambda unet: unet.conv_out.register_buffer("own", torch.zeros(1), persistent=False),
        lambda unet: unet.conv_out.bias.data.add_(1e-6),
        lambda unet: unet.half(),
        lambda unet: unet.conv_out.register_forward_hook(lambda module, given, out: 2 * out),
    ],
    ids=["stride", "padding", "eps", "heads", "factor", "activation", "buffer", "one weight", "dtype", "hook"],
)
def test_what_no_config_says_of_the_same_weights_changes_it_too(change):
    assert changed(change) != changed(lambda unet: None)


def test_it_is_the_same_for_the_same_network(tmp_path):
    """Loaded twice, copied, run, saved by hsx as a diffusers folder, or in another process."""
    backbone = hsx.load_backbone(CLASSES, **BASE)
    first = backbone.fingerprint()
    backbone(torch.zeros(1, 3, 32, 32), torch.tensor([5]))
    assert backbone.layout and backbone.fingerprint() == first == copy.deepcopy(backbone).fingerprint()
    code = f"import hsx; print(hsx.load_backbone({str(CLASSES)!r}, **{BASE!r}).fingerprint())"
    for seed in ("1", "2"):  # in which Python orders sets
        ended = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert ended.stdout.strip() == first
    plain = hsx.load_backbone(FOLDER / "ddpm" / "base.pt", image_size=32)
    export(plain, tmp_path / "folder")
    assert hsx.load_backbone(tmp_path / "folder").fingerprint() == plain.fingerprint()


# ------------------------------------------------------------------------------------------------- HookedBackbone
class Own(nn.Module):
    """A network of no library."""

    strength = 1.0

    def __init__(self, stride=1, scale=2.0, curve=torch.tanh, settings=None):
        super().__init__()
        self.a, self.middle = nn.Conv2d(3, 3, 3, stride, 1), nn.Conv2d(3, 3, 3, 1, 1)
        self.scale, self.curve, self.settings = scale, curve, settings

    def forward(self, x, t):
        return self.middle(self.curve(self.a(x))) * self.scale


class Stronger(Own):
    strength = 2.0


class Other(Own):
    def forward(self, x, t):
        return self.middle(self.curve(self.a(x))) + self.scale


class Settings:
    def __init__(self, gain):
        self.gain = gain


def hooked(kind=Own, bottleneck="middle", skips=(), *, sample_size=8, schedule=None, prediction="epsilon", **options):
    torch.manual_seed(0)
    return HookedBackbone(
        kind(**options), bottleneck, skips, sample_size=sample_size, schedule=schedule, prediction=prediction
    )


HOOKED = {
    "module": lambda: hooked(stride=2),
    "bottleneck": lambda: hooked(bottleneck="a"),
    "skips": lambda: hooked(skips=["a"]),
    "sample_size": lambda: hooked(sample_size=16),
    "schedule": lambda: hooked(schedule=NoiseSchedule.cosine()),
    "prediction": lambda: hooked(prediction="sample"),
}


def test_every_argument_of_hookedbackbone_changes_it():
    assert names_of(HookedBackbone.__init__) == set(HOOKED)
    found = [
        hooked(),
        *(make() for make in HOOKED.values()),
        hooked(scale=3.0),
        hooked(curve=torch.sin),
        hooked(curve=lambda x: x),
        hooked(curve=lambda x: x + 1),
        hooked(Stronger),
        hooked(Other),
        *(hooked(settings=settings) for settings in (1, {"a": 1}, [1], Settings(1), Settings(2), nn.Linear(2, 2))),
    ]
    assert len({backbone.fingerprint() for backbone in found}) == len(found)
    assert hooked(settings=Settings(1)).fingerprint() == hooked(settings=Settings(1)).fingerprint()


def test_a_backbone_of_ones_own_may_add_to_it(tmp_path):
    class Steered(HookedBackbone):
        """One whose output also depends on a file's text."""

        def identity(self):
            return {"text": file.read_text()}

    file, found = tmp_path / "a.txt", set()
    for text in ("a", "b"):
        file.write_text(text)
        torch.manual_seed(0)
        found.add(Steered(Own(), "middle", sample_size=8).fingerprint())
    assert len(found) == 2


GAIN = 2.0


def helper(x):
    return GAIN * x


def through_globals(x):
    return [helper(one) for one in x]


@pytest.mark.parametrize("name, value", [("GAIN", 3.0), ("helper", lambda x: x), ("helper", torch.sin)])
def test_what_code_takes_from_its_module_counts(monkeypatch, name, value):
    before = hooked(curve=through_globals).fingerprint()
    assert before == hooked(curve=through_globals).fingerprint()
    monkeypatch.setitem(globals(), name, value)
    assert hooked(curve=through_globals).fingerprint() != before


@pytest.mark.parametrize(
    "one, other",
    [
        ({"_gain": 1}, {"_gain": 2}),
        ({1: 1}, {"1": 1}),
        (re.compile("a"), re.compile("b")),
        (slice(1, 2), slice(1, 3)),
        (range(3), range(4)),
        (Decimal(1), Decimal(2)),
        (deque([1]), deque([2])),
        (date(2020, 1, 1), date(2020, 1, 2)),
        (bytearray(b"a"), bytearray(b"b")),
        (torch.channels_last, torch.contiguous_format),
        (math, os),
        (np.array([Settings(1)]), np.array([Settings(2)])),
        (np.float32, np.float64),
        (torch.tensor(1.0).add, torch.tensor(2.0).add),
        (torch.eye(2).to_sparse(), torch.ones(2, 2).to_sparse()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_of_any_type_are_told_apart(one, other):
    assert fingerprint(one) == fingerprint(copy.deepcopy(one) if one is not math else one) != fingerprint(other)


@pytest.mark.parametrize("name", ["facts", "family", "encode", "scheduler"])
def test_only_a_backbone_s_own_attributes_are_no_part_of_it(name):
    found = [hooked() for _ in range(2)]
    for value, backbone in enumerate(found):
        setattr(backbone.module, name, value)
    assert len({backbone.fingerprint() for backbone in found}) == 2


def test_a_compiled_network_is_the_same():
    assert fingerprint(torch.compile(hooked().module)) == fingerprint(hooked().module)


def test_objects_that_hold_each_other_end():
    module = nn.Linear(2, 2)
    module.friends = [module, {"me": module}]
    assert fingerprint(module) == fingerprint(module)


# --------------------------------------------------------------------------------------------------- TransferModel
def module(tiny_model, **changes):
    given = {
        "backbone": str(tiny_model),
        "schedule": Constant(0.3),
        "blend": Slerp(),
        "normalizer": Frobenius(),
        "calibrator": Latent(0.0),
        "inversion_steps": 6,
        "generation_steps": 8,
    }
    return TransferModel(**{**given, **changes})


METHOD = {
    "backbone": lambda folder, model: {"backbone": {"source": str(model), "dtype": "float64"}},
    "schedule": lambda folder, model: {"schedule": Constant(0.4)},
    "blend": lambda folder, model: {"blend": Lerp()},
    "normalizer": lambda folder, model: {"normalizer": Identity()},
    "calibrator": lambda folder, model: {"calibrator": Latent(0.1)},
    "inversion_steps": lambda folder, model: {"inversion_steps": 7},
    "generation_steps": lambda folder, model: {"generation_steps": 9},
    "injection_steps": lambda folder, model: {"injection_steps": 4},
    "t_start": lambda folder, model: {"t_start": 900},
    "t_edit": lambda folder, model: {"t_edit": 300},
    "t_boost": lambda folder, model: {"t_boost": 100},
    "dt_lambda": lambda folder, model: {"dt_lambda": 0.99},
    "dt_end": lambda folder, model: {"dt_end": 900},
    "seed": lambda folder, model: {"seed": 1},
    "fit": lambda folder, model: {"fit": "pad"},
    "sites": lambda folder, model: {"sites": ["h", "skip@R/2"]},
    "donor": lambda folder, model: {"donor": Renoised()},
    "solver": lambda folder, model: {"solver": Multistep2M()},
    "inverter": lambda folder, model: {"inverter": 1},
    "spacing": lambda folder, model: {"spacing": "logsnr"},
    "same_strength_as": lambda folder, model: {"same_strength_as": 50},
    "style_eps": lambda folder, model: {"style_eps": "first"},
}


def test_every_option_of_the_method_changes_the_settings(tiny_model, tmp_path):
    assert {"backbone", *names_of(TransferConfig)} == set(METHOD)
    found = {name: module(tiny_model, **make(tmp_path, tiny_model)) for name, make in METHOD.items()}
    found["nothing"] = module(tiny_model)
    assert len({each.fingerprints("32-true", "float16").settings for each in found.values()}) == len(found)
    inverted = {
        name
        for name, each in found.items()
        if each.fingerprints("32-true", "float16").inversion
        != found["nothing"].fingerprints("32-true", "float16").inversion
    }
    assert inverted == {"backbone", "inversion_steps", "t_start", "solver", "inverter", "spacing"}
    same = module(
        tiny_model,
        injection_steps=8,
        t_edit=400,
        t_boost=200,
        t_start=999,
        dt_end=950,
        sites="h",
        solver=DDIM(),
        inverter=0,
        spacing="uniform",
        same_strength_as=None,
        style_eps="always",
    )
    assert (
        same.fingerprints("32-true", "float16").settings == found["nothing"].fingerprints("32-true", "float16").settings
    )  # a default that is written out


def test_how_a_path_is_spelt_has_no_part_in_it(tiny_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mask = picture(tmp_path / "masks" / "m.png", 3)
    other = picture(tmp_path / "n.png", 4)
    for make in (Masked, lambda path: SphericalMean([path])):
        spelt = [module(tiny_model, blend=make(path)) for path in (str(mask), "masks/m.png", "masks/../masks/m.png")]
        assert len({each.fingerprints("32-true", "float16").settings for each in spelt}) == 1
        assert len({str(each.config) for each in spelt}) == 1 and str(mask) in str(spelt[0].config)
        assert (
            module(tiny_model, blend=make(str(other))).fingerprints("32-true", "float16").settings
            != spelt[0].fingerprints("32-true", "float16").settings
        )
