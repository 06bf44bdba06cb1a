"""A scheduler's config: the noise schedule and what the network predicts, read against what is understood.

A scheduler of diffusers is mostly a way to sample.  hsx samples in its own way and takes from it only what belongs to
the network: the betas it was trained with, and what it predicts.  Every field of every class that is understood is in
one of the tables below; a test walks the classes of the installed diffusers.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import torch

from hsx.backbones.base import Fact
from hsx.backbones.prediction import PREDICTIONS
from hsx.checkpoints.folders import fields as field
from hsx.checkpoints.options import HIGHEST, Options, make_schedule
from hsx.errors import BackboneError, HsxError
from hsx.schedule import NoiseSchedule

BETAS = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas")  # what makes a schedule
DEFAULTS: dict[str, Any] = {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02, "trained_betas": None}
DEFAULTS |= {"num_train_timesteps": 1000, "prediction_type": "epsilon"}
BETWEEN = ("linear", "scaled_linear", "sigmoid")  # schedules that run from beta_start to beta_end

# Classes that are built from the betas of a discrete diffusion, without the word Scheduler, and those among them whose
# beta_start and beta_end are others by default.
CLASSES = """
    DDPM DDPMParallel DDIM DDIMParallel DDIMInverse PNDM DPMSolverMultistep DPMSolverMultistepInverse
    DPMSolverSinglestep DPMSolverSDE DEISMultistep UniPCMultistep SASolver EulerDiscrete EulerAncestralDiscrete
    HeunDiscrete KDPM2Discrete KDPM2AncestralDiscrete LMSDiscrete
"""
SMALLER = ("DPMSolverSDE", "HeunDiscrete", "KDPM2Discrete", "KDPM2AncestralDiscrete")
UNDERSTOOD: dict[str, dict[str, Any]] = {f"{name}Scheduler": {} for name in CLASSES.split()}
UNDERSTOOD |= {f"{name}Scheduler": {"beta_start": 0.00085, "beta_end": 0.012} for name in SMALLER}

# Classes without such betas, by the beginning of their names: what their networks are.
FOREIGN = field.by_name(
    {
        "a consistency model": "CMStochasticIterative LCM TCD SCM",
        "a flow-matching model": "FlowMatch FlowMap Piflow Helios LTX MiniMax",
        "a model of EDM's continuous noise levels": "EDM CosineDPMSolver",
        "a variance-exploding model": "ScoreSdeVe KarrasVe",
        "a model of continuous time": "ScoreSdeVp IPNDM DDPMWuerstchen",
        "a model of tokens": "VQDiffusion Amused BlockRefinement DiscreteDDIM EntropyBound",
        "a video model": "CogVideoX",
        "a prior or upsampler of unCLIP": "UnCLIP",
        "a sampler for inpainting": "RePaint",
        "a decoder of latents": "ConsistencyDecoder",
        "a model of proteins": "RFD4",
    }
)

# Fields that are passed over, by the reason.
IGNORED = field.by_name(
    {
        "how diffusers samples; hsx steps by its own timesteps and DDIM's rule": "set_alpha_to_one set_alpha_to_zero "
        "steps_offset timestep_spacing skip_prk_steps final_sigmas_type interpolation_type noise_sampler_seed "
        "use_karras_sigmas use_exponential_sigmas use_beta_sigmas use_lu_lambdas sigma_min sigma_max "
        "lambda_min_clipped",
        "a solver's bookkeeping of diffusers' own sampling": "solver_order solver_type solver_p algorithm_type "
        "lower_order_final euler_at_final predict_x0 disable_corrector predictor_order corrector_order tau_func",
        "clips the predicted x_0 of diffusers' own sampling; hsx keeps x_0 as the network has it": "thresholding "
        "dynamic_thresholding_ratio sample_max_value",
        "has no effect without use_flow_sigmas or use_dynamic_shifting, both refused": "flow_shift time_shift_type",
        "numpy or torch, in diffusers before 0.3": "tensor_format",
    }
)
COUNT_ALONE = "num_train_timesteps: expected it with the option schedule, got it alone; give both"
FLOW = "use a model with a schedule of betas"
VARIANCES = ("fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log", "learned", "learned_range")
RULES: dict[str, field.Rule] = {
    "num_train_timesteps": field.whole(1, HIGHEST["num_train_timesteps"]),
    "beta_start": field.number(0, 1),
    "beta_end": field.number(0, 1),
    "beta_schedule": field.one_of(*BETWEEN, "squaredcos_cap_v2", "laplace", "exp", remedy="write out trained_betas"),
    "trained_betas": field.or_null(field.several(field.number(0, 1))),
    "prediction_type": field.one_of(*PREDICTIONS, remedy="use a model that predicts one of them"),
    "rescale_betas_zero_snr": field.only(False, remedy="at alpha-bar 0 eps says no x_0: give the option schedule"),
    "use_flow_sigmas": field.only(False, remedy=FLOW),
    "use_dynamic_shifting": field.only(False, remedy=FLOW),
    "shift_terminal": field.only(None, remedy=FLOW),
    "timestep_type": field.only("discrete", remedy="use a model that is given whole timesteps"),
    "predict_epsilon": field.only(True, remedy="write prediction_type sample in its place"),
    "variance_type": field.or_null(field.one_of(*VARIANCES)),
    "clip_sample": field.FLAG,
    "clip_sample_range": field.number(0, math.inf),
}


class Scheduler(NamedTuple):
    """What a scheduler's config says of a network."""

    schedule: NoiseSchedule
    facts: dict[str, Fact]
    config: dict[str, Any]  # as it was read, without what an option replaced


def read_scheduler(file: Path | None, options: Options, out_channels: int) -> Scheduler:
    """The noise schedule and the prediction type; DDPM's where there is no config, which is then assumed.

    Args:
        options: schedule, num_train_timesteps and prediction_type stand above the config.
        out_channels: of the network: 6 are eps and a learned variance.

    Raises:
        BackboneError: for a class or a field that is not understood, or that contradicts the network.
    """
    config, given = field.read_json(file) if file else {}, options.given()
    if file and "_class_name" in config:
        understood(file, config["_class_name"])
    if config.get("trained_betas") and "num_train_timesteps" not in config:
        config["num_train_timesteps"] = len(config["trained_betas"]) if isinstance(config["trained_betas"], list) else 0
    overridden = {*given, *((*BETAS[1:], "rescale_betas_zero_snr") if "schedule" in given else ())}
    kept = {name: value for name, value in config.items() if name not in overridden}
    if file:
        field.check(file, kept, RULES, IGNORED)
        _check_consistent(file, kept, out_channels)
    count = options.num_train_timesteps
    if file and "schedule" not in given and count not in (None, config.get("num_train_timesteps")):
        raise BackboneError(f"{file}: {COUNT_ALONE}")
    fields = DEFAULTS | UNDERSTOOD.get(config.get("_class_name", ""), {})
    fields |= {name: value for name, value in (kept | given).items() if name in DEFAULTS}
    if "schedule" in given:
        if isinstance(options.schedule, list) and "num_train_timesteps" not in given:
            fields["num_train_timesteps"] = len(options.schedule)
        schedule = make_schedule(given["schedule"], fields["num_train_timesteps"])
    elif file:
        try:
            schedule = schedule_of(fields)
        except HsxError as error:
            raise BackboneError(f"{file}: {error}") from None
    else:
        schedule = NoiseSchedule.linear(fields["num_train_timesteps"])
    return Scheduler(schedule, _facts(fields, len(schedule), config, given), kept)


def _facts(fields: dict[str, Any], count: int, config: dict[str, Any], given: dict[str, Any]) -> dict[str, Fact]:
    """The schedule, its length and the prediction type, each with its origin; half a schedule in a config is none."""
    ends = ("beta_start", "beta_end") if fields["beta_schedule"] in BETWEEN else ()
    betas = ("trained_betas",) if fields["trained_betas"] is not None else ("beta_schedule", *ends)
    facts = {}
    for name, value, sources in (
        ("schedule", given.get("schedule", _name(fields)), betas),
        ("num_train_timesteps", count, ("num_train_timesteps",)),
        ("prediction_type", fields["prediction_type"], ("prediction_type",)),
    ):
        if name in given or (name == "num_train_timesteps" and isinstance(given.get("schedule"), list)):
            facts[name] = Fact(value, "given")
        elif set(sources) <= set(config):
            facts[name] = Fact(value, "read")
        else:
            facts[name] = Fact(value, "assumed (diffusers' default)" if config else "assumed")
    return facts


def understood(file: Path, name: Any) -> None:
    """Raise BackboneError, with what it is, for a scheduler class from whose config no betas come."""
    if isinstance(name, str) and name in UNDERSTOOD:
        return
    kind = field.shown(name)
    what = next((f", of {what}" for start, what in FOREIGN.items() if kind.startswith(start)), ", unknown to hsx")
    wanted = "expected a scheduler with the betas of a discrete diffusion"
    raise BackboneError(f"{file}: {wanted}, got {kind}{what}; use a DDPM, or name the scheduler of its training")


def _check_consistent(file: Path, config: dict[str, Any], out_channels: int) -> None:
    betas, count = config.get("trained_betas"), config.get("num_train_timesteps")
    if betas is not None and count is not None and len(betas) != count:
        wanted = f"expected {count}, as many as num_train_timesteps"
        raise BackboneError(f"{file}: trained_betas: {wanted}, got {len(betas)}; correct one of the two")
    variance = config.get("variance_type")
    if variance is not None and variance.startswith("learned") != (out_channels == 6):
        wanted = f"expected a {'learned' if out_channels == 6 else 'fixed'} one for {out_channels} outputs"
        raise BackboneError(f"{file}: variance_type: {wanted}, got {variance}; correct it")
    value = config.get("clip_sample_range", 1)
    if config.get("clip_sample", True) and value != 1:
        raise BackboneError(f"{file}: clip_sample_range: expected 1, got {value}; use a model of pictures in [-1, 1]")


def schedule_of(fields: dict[str, Any]) -> NoiseSchedule:
    """The schedule that a config's fields make in diffusers, in float64.  Raises HsxError for betas outside (0, 1)."""
    kind, n, start, end = (fields[k] for k in ("beta_schedule", "num_train_timesteps", "beta_start", "beta_end"))
    if fields["trained_betas"] is not None:
        betas = torch.tensor(fields["trained_betas"], dtype=torch.float64)
    elif kind == "linear":
        betas = torch.linspace(start, end, n, dtype=torch.float64)
    elif kind == "scaled_linear":
        betas = torch.linspace(start**0.5, end**0.5, n, dtype=torch.float64) ** 2
    elif kind == "sigmoid":
        betas = torch.sigmoid(torch.linspace(-6, 6, n, dtype=torch.float64)) * (end - start) + start
    elif kind == "squaredcos_cap_v2":
        return NoiseSchedule.cosine(n)
    else:
        alpha_bar = _laplace if kind == "laplace" else lambda u: math.exp(-12 * u)
        values = torch.tensor([alpha_bar(i / n) for i in range(n + 1)], dtype=torch.float64)
        betas = (1 - values[1:] / values[:-1]).clamp(max=0.999)  # as in diffusers' betas_for_alpha_bar
    return NoiseSchedule.from_betas(betas)


def _laplace(u: float) -> float:
    """alpha-bar of Hang and Gu's Laplace noise schedule (2024), as diffusers writes it."""
    snr = math.exp(-0.5 * math.copysign(1, 0.5 - u) * math.log(1 - 2 * abs(0.5 - u) + 1e-6))
    return math.sqrt(snr / (1 + snr))


def _name(fields: dict[str, Any]) -> str:
    """A schedule by name, with its ends where they are not DDPM's."""
    if fields["trained_betas"] is not None:
        return "betas"
    name, start, end = (str(fields["beta_schedule"]), fields["beta_start"], fields["beta_end"])
    return name if name not in BETWEEN or (start, end) == (1e-4, 0.02) else f"{name} {start:g} to {end:g}"
