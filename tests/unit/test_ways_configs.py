"""Configs of diffusers, field by field: computed exactly, or refused by name."""

import inspect
import json
import shutil

import diffusers
import pytest
import torch
from diffusers import UNet2DModel
from diffusers.training_utils import EMAModel

import hsx
from hsx.checkpoints.folders import scheduler as schedulers
from hsx.checkpoints.folders import unet as unet_config

from ..folders import FILE, edit, net, off, refused

# Schedulers: every class and every field of them is understood, or is refused by its name.


def understood_classes():
    for name, defaults in schedulers.UNDERSTOOD.items():
        kind = getattr(diffusers, name)
        dummy = "dummy" in kind.__module__  # DPMSolverSDE without torchsde
        yield pytest.param(kind, defaults, id=name, marks=[pytest.mark.skip("is not installed")] * dummy)


@pytest.mark.parametrize("kind, defaults", list(understood_classes()))
def test_every_field_of_every_understood_scheduler_is_in_a_list(kind, defaults):
    parameters = {
        name: p
        for name, p in inspect.signature(kind.__init__).parameters.items()
        if name != "self" and p.kind != p.VAR_KEYWORD
    }
    assert not set(parameters) - set(schedulers.RULES) - set(schedulers.IGNORED)
    assert all(schedulers.IGNORED.values()) and not set(schedulers.RULES) & set(schedulers.IGNORED)
    for name, value in (schedulers.DEFAULTS | defaults).items():
        assert name not in parameters or parameters[name].default == value


def test_every_scheduler_of_diffusers_is_judged():
    names = [n for n in dir(diffusers) if n.endswith("Scheduler") and n != "OnnxRuntimeModel"]
    unjudged = [
        n
        for n in names
        if n not in schedulers.UNDERSTOOD and not any(n.startswith(start) for start in schedulers.FOREIGN)
    ]
    assert not unjudged and len(names) > 40


def test_every_field_of_unet2dmodel_is_in_a_list():
    fields = set(inspect.signature(UNet2DModel.__init__).parameters) - {"self"}
    assert fields == set(unet_config.RULES) and set(unet_config.SHAPELESS) < fields
    ema = EMAModel(net().parameters()).state_dict()
    assert set(ema) - {"shadow_params"} <= set(unet_config.IGNORED)


SCHEDULES = [
    ("DDPMScheduler", {}),
    ("DDPMScheduler", {"beta_schedule": "sigmoid"}),
    ("DDPMScheduler", {"beta_schedule": "laplace"}),
    ("DDPMScheduler", {"beta_schedule": "squaredcos_cap_v2", "variance_type": "fixed_large"}),
    ("DDPMScheduler", {"trained_betas": [0.1, 0.2, 0.3] * 400, "num_train_timesteps": 1200}),
    ("DDIMScheduler", {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": False}),
    ("DDIMScheduler", {"prediction_type": "v_prediction", "thresholding": True, "set_alpha_to_one": False}),
    ("PNDMScheduler", {"skip_prk_steps": True, "num_train_timesteps": 900}),
    ("DDIMInverseScheduler", {}),
    ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    ("DPMSolverSinglestepScheduler", {}),
    ("UniPCMultistepScheduler", {"solver_order": 3}),
    ("DEISMultistepScheduler", {}),
    ("SASolverScheduler", {}),
    ("EulerDiscreteScheduler", {"timestep_spacing": "trailing"}),
    ("EulerAncestralDiscreteScheduler", {}),
    ("HeunDiscreteScheduler", {}),
    ("HeunDiscreteScheduler", {"beta_schedule": "exp"}),
    ("KDPM2DiscreteScheduler", {}),
    ("LMSDiscreteScheduler", {}),
]


@pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")
@pytest.mark.parametrize("name, options", SCHEDULES, ids=lambda v: v if isinstance(v, str) else str(v)[:40])
def test_betas_come_from_any_scheduler_that_has_them(made, folder, name, options):
    scheduler = getattr(diffusers, name)(**options)
    shutil.rmtree(folder / "scheduler")
    scheduler.save_pretrained(folder / "scheduler")
    edit(folder / "model_index.json", scheduler=["diffusers", name])
    backbone = hsx.load_backbone(folder)
    expected = scheduler.alphas_cumprod.double()
    torch.testing.assert_close(backbone.schedule.alphas_cumprod, expected, rtol=2e-5, atol=2e-6)
    assert off(backbone, made[1]) < 1e-5
    assert backbone.facts["prediction_type"] == (scheduler.config.prediction_type, "read")


FOREIGN = [
    "CMStochasticIterativeScheduler",
    "LCMScheduler",
    "TCDScheduler",
    "FlowMatchEulerDiscreteScheduler",
    "FlowMatchHeunDiscreteScheduler",
    "EDMEulerScheduler",
    "EDMDPMSolverMultistepScheduler",
    "ScoreSdeVeScheduler",
    "ScoreSdeVpScheduler",
    "KarrasVeScheduler",
    "IPNDMScheduler",
    "RePaintScheduler",
    "UnCLIPScheduler",
    "AmusedScheduler",
    "VQDiffusionScheduler",
    "CosineDPMSolverMultistepScheduler",
    "DDPMWuerstchenScheduler",
    "CogVideoXDDIMScheduler",
    "SCMScheduler",
    "SchedulerOfTomorrow",
    "FlaxDDPMScheduler",
]


@pytest.mark.parametrize("name", FOREIGN)
def test_schedulers_of_other_worlds_are_refused_by_name(folder, name):
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps({"_class_name": name}))
    refused(folder, f"got {name}", "scheduler_config.json: expected a scheduler with the betas")


WRONG_SCHEDULERS = [
    ({"rescale_betas_zero_snr": True}, "rescale_betas_zero_snr: expected false, got true"),
    ({"rescale_betas_zero_snr": 1}, "rescale_betas_zero_snr"),
    ({"use_flow_sigmas": True}, "use_flow_sigmas"),
    ({"prediction_type": "flow_prediction"}, "prediction_type: expected epsilon"),
    ({"prediction_type": None}, "got null"),
    ({"timestep_type": "continuous"}, "timestep_type: expected discrete, got continuous"),
    ({"predict_epsilon": False}, "write prediction_type sample"),
    ({"beta_start": None}, "beta_start"),
    ({"beta_start": "0.1"}, "beta_start: expected a number between 0 and 1, got 0.1"),
    ({"beta_end": 1.0}, "beta_end"),
    ({"beta_end": float("nan")}, "beta_end: expected a number between 0 and 1, got NaN"),
    ({"beta_start": -1}, "beta_start"),
    ({"num_train_timesteps": True}, "num_train_timesteps: expected a whole number"),
    ({"num_train_timesteps": 0}, "got 0"),
    ({"num_train_timesteps": -5}, "got -5"),
    ({"num_train_timesteps": 1e9}, "num_train_timesteps"),
    ({"num_train_timesteps": 10**9}, "1 to 100000, got 1000000000"),
    ({"num_train_timesteps": [1000]}, "got [1000]"),
    ({"trained_betas": [0.1, 0.2]}, "trained_betas: expected 1000, as many as num_train_timesteps, got 2"),
    ({"trained_betas": []}, "trained_betas"),
    ({"trained_betas": ["a"]}, "trained_betas"),
    ({"trained_betas": {"0": 0.1}}, "trained_betas"),
    ({"trained_betas": [0.1, 1.0], "num_train_timesteps": 2}, "trained_b"),
    ({"beta_schedule": "jsd"}, "beta_schedule: expected linear"),
    ({"beta_schedule": ["linear"]}, "beta_schedule"),
    ({"variance_type": "learned_range"}, "variance_type: expected a fixed one"),
    ({"variance_type": "new"}, "variance_type"),
    ({"clip_sample_range": 3.0}, "clip_sample_range: expected 1"),
    ({"clip_sample": ..., "clip_sample_range": 3.0}, "clip_sample_range: expected 1"),
    ({"clip_sample": "yes"}, "clip_sample"),
    ({"snr_shift_scale": 3.0}, "got snr_shift_scale 3.0"),
    ({"shift": 1.0}, "got shift 1.0"),
    ({"tomorrow": {"a": [1]}}, 'got tomorrow {"a": [1]}'),
    ({"_class_name": ["DDPMScheduler"]}, '["DDPMScheduler"]'),
    ({"_class_name": None}, "got null"),
]


@pytest.mark.parametrize("changes, said", WRONG_SCHEDULERS, ids=str)
def test_fields_of_a_scheduler_that_are_wrong_or_not_understood(folder, changes, said):
    edit(folder / "scheduler" / "scheduler_config.json", **changes)
    refused(folder, said, "scheduler_config.json: ")


@pytest.mark.parametrize(
    "changes",
    [
        {"tomorrow": None},
        {"tomorrow": False},
        {"tomorrow": []},
        {"_note": "mine"},
        {"clip_sample": False},
        {"clip_sample": False, "clip_sample_range": 3.0},
        {"variance_type": None},
        {"rescale_betas_zero_snr": False},
        {"timestep_spacing": "trailing"},
        {"predict_epsilon": True},
        {"tensor_format": "pt"},
    ],
)
def test_fields_that_cannot_matter(made, folder, changes):
    edit(folder / "scheduler" / "scheduler_config.json", **changes)
    assert off(hsx.load_backbone(folder), made[1]) < 1e-5


def test_options_stand_above_the_scheduler(folder):
    file = folder / "scheduler" / "scheduler_config.json"
    edit(file, beta_schedule="scaled_linear", rescale_betas_zero_snr=True)
    assert torch.equal(
        hsx.load_backbone(folder, schedule="cosine").schedule.alphas_cumprod, hsx.NoiseSchedule.cosine().alphas_cumprod
    )
    edit(file, rescale_betas_zero_snr=False, prediction_type=...)
    assert hsx.load_backbone(folder).facts["prediction_type"] == ("epsilon", "assumed (diffusers' default)")
    edit(file, beta_end=...)  # half a schedule is a default too
    assert hsx.load_backbone(folder).facts["schedule"] == ("scaled_linear", "assumed (diffusers' default)")
    given = hsx.load_backbone(folder, prediction_type="sample")
    assert given.prediction_type == "sample" and given.facts["prediction_type"] == ("sample", "given")
    refused(folder, "num_train_timesteps: expected it with the option schedule", num_train_timesteps=500)
    assert len(hsx.load_backbone(folder, num_train_timesteps=1000).schedule) == 1000
    refused(folder, "prediction_type: expected epsilon or v_prediction or sample", prediction_type="flow")


# The network's config.

WRONG_UNETS = [
    ({"sample_size": [16, 24]}, "sample_size: expected the side of square pictures"),
    ({"sample_size": 16.0}, "sample_size"),
    ({"sample_size": "16"}, "sample_size"),
    ({"sample_size": 0}, "sample_size"),
    ({"in_channels": 4}, "in_channels"),
    ({"out_channels": 4}, "out_channels"),
    ({"in_channels": 1, "out_channels": 1}, "use a pixel-space RGB model"),
    ({"time_embedding_type": "fourier"}, "use a DDPM network"),
    ({"time_embedding_type": "learned"}, "got learned"),
    ({"class_embed_type": "timestep"}, "class_embed_type"),
    ({"mid_block_type": None}, "mid_block_type"),
    ({"mid_block_type": "UNetMidBlock2DCrossAttn"}, "mid_block_type"),
    ({"act_fn": "snake"}, "act_fn"),
    ({"attention_head_dim": 0}, "attention_head_dim"),
    ({"attention_head_dim": 32}, "attention_head_dim: expected at most"),
    ({"attention_head_dim": [8, 8]}, "attention_head_dim"),
    ({"layers_per_block": 9223372036854775808}, "layers_per_block"),
    ({"layers_per_block": [1, 1]}, "layers_per_block"),
    ({"layers_per_block": True}, "layers_per_block"),
    ({"block_out_channels": [8]}, "as many block types as widths"),
    ({"block_out_channels": [8, 6]}, "norm_num_groups"),
    ({"block_out_channels": "8, 16"}, "block_out_channels"),
    ({"norm_num_groups": None}, "norm_num_groups"),
    ({"attn_norm_num_groups": 5}, "attn_norm_num_groups"),
    ({"norm_eps": 0}, "norm_eps"),
    ({"norm_eps": "1e-5"}, "norm_eps"),
    ({"down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"]}, "CrossAttnDownBlock2D"),
    ({"down_block_types": ["SkipDownBlock2D", "AttnSkipDownBlock2D"]}, "SkipDownBlock2D"),
    ({"up_block_types": ["AttnUpBlock2D"]}, "1 up_block_types"),
    ({"downsample_type": "fir"}, "downsample_type"),
    ({"resnet_time_scale_shift": "ada_group"}, "resnet_time_scale_shift"),
    ({"freq_shift": 7}, "freq_shift"),
    ({"downsample_padding": 2}, "downsample_padding"),
    ({"mid_block_scale_factor": 0}, "mid_block_scale_factor"),
    ({"center_input_sample": 1}, "center_input_sample"),
    ({"cross_attention_dim": 768}, "got cross_attention_dim 768"),
    ({"quantization_config": {"bits": 8}}, "quantization_config"),
    ({"norm_num_groups": 3}, "norm_num_groups"),
    ({"_class_name": "UNet2DConditionModel"}, "a U-Net that is steered by a text"),
    ({"_class_name": ...}, "got null"),
    ({"_class_name": "UNet1DModel"}, "a U-Net of sounds"),
    ({"_class_name": "DiTTransformer2DModel"}, "a transformer"),
]


@pytest.mark.parametrize("changes, said", WRONG_UNETS, ids=lambda v: str(v)[:60])
def test_fields_of_a_unet_that_are_wrong_or_not_understood(folder, changes, said):
    edit(folder / "unet" / "config.json", **changes)
    refused(folder, said, "config.json: expected" if "config.json: expected" in said else "config.json: ")


@pytest.mark.parametrize(
    "changes",
    [
        {"sample_size": [16, 16]},
        {"cross_attention_dim": None},
        {"decay": 0.99, "optimization_step": 500, "power": 0.75},
        {"dropout": 0.5},
        {"time_embedding_dim": None},
        {"_name_or_path": "mine"},
        {"add_attention": ...},
        {"down_block_types": ["UNetResDownBlock2D", "UNetResAttnDownBlock2D"]},
        {"act_fn": "swish"},
    ],
)
def test_a_unet_config_that_says_the_same(made, folder, changes):
    edit(folder / "unet" / "config.json", **changes)
    assert off(hsx.load_backbone(folder), made[1]) < 1e-5


@pytest.mark.parametrize(
    "changes",
    [
        {"norm_eps": 1e-3},
        {"flip_sin_to_cos": False, "freq_shift": 1},
        {"downsample_padding": 0},
        {"act_fn": "relu"},
        {"mid_block_scale_factor": 1.4},
        {"center_input_sample": True},
        {"attention_head_dim": None},
        {"add_attention": False},
        {"resnet_time_scale_shift": "scale_shift", "attn_norm_num_groups": 4},
        {"downsample_type": "resnet"},
        {"attention_head_dim": 4, "norm_num_groups": 8},
        {"time_embedding_dim": 24},
    ],
)
def test_every_network_that_is_understood_is_computed(tmp_path, changes):
    network = net(**changes)
    network.save_pretrained(tmp_path / "unet")
    assert off(hsx.load_backbone(tmp_path), network) < 1e-5
    file = hsx.load_backbone(tmp_path / "unet" / FILE)  # the file alone: config.json beside it is read
    assert off(file, network) < 1e-5 and file.facts["widths"] == ((8, 16), "read")


def test_what_a_config_leaves_out_is_assumed_and_said(made, folder, caplog):
    edit(folder / "unet" / "config.json", norm_eps=..., flip_sin_to_cos=...)
    edit(folder / "scheduler" / "scheduler_config.json", beta_schedule=..., num_train_timesteps=...)
    backbone = hsx.load_backbone(folder)
    for name in ("norm_eps", "flip_sin_to_cos", "schedule", "num_train_timesteps"):
        assert backbone.facts[name].origin == "assumed (diffusers' default)" and f"{name} " in caplog.text
    shutil.rmtree(folder / "scheduler")
    edit(folder / "model_index.json", scheduler=...)
    assert hsx.load_backbone(folder).facts["schedule"] == ("linear", "assumed")
