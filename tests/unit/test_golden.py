"""hsx against the authors' code: single calls, inversions and every recorded transfer."""

from functools import cache

import pytest
import torch

import hsx
from hsx.method.inversion import Trajectory
from hsx.method.step import transfer_step
from hsx.strategies import DDIM, Frobenius, Identity, Latent, Lerp, PaperFaceMask, Slerp

from ..golden import MODELS, backbone, difference, facts, tensors

CASES = [(m, name) for m in MODELS for name in facts(m, "method")["cases"]]
STEPS = [(m, name) for m in MODELS for name in facts(m, "unit")["step"]]
INJECTIONS = [(m, name) for m in MODELS for name in facts(m, "unit")["injection"]]
OUT, H, LATENT, FINAL = 5e-5, 1e-4, 2e-4, 2e-3  # golden/README.md's tolerances


@pytest.mark.parametrize("model, name", INJECTIONS)
def test_single_injections(model, name):
    net, golden = backbone(model), tensors(model, "unit")
    case = facts(model, "unit")["injection"][name]
    b = net.encode(golden["injection/x"], golden["injection/t"])
    assert difference(net.decode(b), golden["injection/out_plain"][:, :3]) < OUT
    normalizer, blend = (Identity(), PaperFaceMask()) if case["use_mask"] else (Frobenius(), Slerp())
    gamma = torch.full((2, 1, 1, 1), case["gamma"])
    h = blend(b.h, normalizer(golden["injection/delta_h"], b.h), gamma)
    assert difference(h, golden[f"{name}/h2"]) < H
    assert difference(net.decode(b.with_h(h)), golden[f"{name}/out_modified"][:, :3]) < OUT


@pytest.mark.parametrize("model", MODELS)
def test_raw_slerp(model):
    golden = tensors(model, "unit")
    weights = [k for k in golden if k.startswith("slerp/t")]
    assert weights
    for key in weights:
        gamma = torch.tensor(float(key.removeprefix("slerp/t")))
        v0, v1 = golden["slerp/v0"], golden["slerp/v1"]
        assert difference(Slerp()(v0, v1, gamma.expand(len(v0), 1, 1, 1)), golden[key]) < H


@pytest.mark.parametrize("model, name", STEPS)
def test_single_steps(model, name):
    net, golden = backbone(model), tensors(model, "unit")
    case = facts(model, "unit")["step"][name]
    t, calibrated = torch.tensor([case["t"]]), case["omega"] != 0
    gamma = torch.full((1,), case["gamma"] if case["t"] >= case["t_edit"] else 0.0)
    direction = case["dt_lambda"] if case["t"] >= case["dt_end"] and not calibrated else 1.0
    x_next = transfer_step(
        net,
        golden["step/xt"],
        t,
        torch.tensor([case["t_next"]]),
        lambda state: {"h": golden["step/delta_h"]},
        {"h": 1.0},
        gamma,
        Slerp(),
        Frobenius(),
        Latent(case["omega"]),
        direction=direction,
    )
    assert difference(x_next, golden[f"{name}/xt_next"]) < FINAL


@cache
def trajectories(model: str, n: int) -> tuple[Trajectory, Trajectory]:
    golden = tensors(model, "method")
    return tuple(hsx.invert(backbone(model), golden[f"{who}_x0"], n) for who in ("content", "style"))


@pytest.mark.parametrize("model, n", [(m, int(n)) for m in MODELS for n in facts(m, "method")["inversions"]])
def test_inversions(model, n):
    golden = tensors(model, "method")
    for who, trajectory in zip(("content", "style"), trajectories(model, n), strict=True):
        assert difference(trajectory.x_T, golden[f"inv{n}/{who}_latent"]) < LATENT
        keys = [k for k in golden if k.startswith(f"inv{n}/{who}_h/")]
        assert who == "style" or len(keys) == n - 1
        for key in keys:
            assert difference(trajectory.h_at(int(key.split("/")[-1])), golden[key]) < FINAL


class Recorded:
    """Hands out the noise that the authors' code drew and used.

    With calibration it drew two a call and used the second; where dt_lambda replaced the noisy update, none.
    """

    def __init__(self, model: str, name: str) -> None:
        case = facts(model, "method")["cases"][name]
        draws = tensors(model, "method").get(f"case/{name}/noise")
        p = case["params"]
        self.draws = [] if draws is None else list(draws[1::2] if p["omega"] else draws)
        if p["dt_lambda"] != 1 and not p["omega"]:
            self.draws = self.draws[sum(p["dt_end"] <= s["t"] <= p["t_noise"] for s in case["steps"]) :]

    def __call__(self, like):
        return self.draws.pop(0)[None]


def transfer_of(model: str, name: str, **changes) -> hsx.Transfer:
    p = {**facts(model, "method")["cases"][name]["params"], **changes}
    return hsx.Transfer.paper(
        backbone(model),
        gamma=p["gamma"],
        omega=p["omega"],
        dt_lambda=p["dt_lambda"],
        dt_end=p["dt_end"],
        t_edit=p["t_edit"],
        t_boost=max(0, min(999, p["t_noise"])),
        inversion_steps=p["n_inv"],
        generation_steps=p["n_gen"],
        content_replace_step=p["content_replace_step"],
        use_mask=p["use_mask"],
    )


def error_of(transfer: hsx.Transfer, model: str, name: str) -> float:
    """The final image's largest difference from the authors'."""
    n = facts(model, "method")["cases"][name]["params"]["n_inv"]
    final = transfer.inject(*trajectories(model, n), noise=Recorded(model, name))
    return difference(final, tensors(model, "method")[f"case/{name}/final"])


@pytest.mark.parametrize("model, name", CASES)
def test_transfers(model, name, monkeypatch):
    seen = []

    def watched(*args, **options):
        seen.append(transfer_step(*args, **options))
        return seen[-1]

    monkeypatch.setattr("hsx.method.transfer.transfer_step", watched)
    assert error_of(transfer_of(model, name), model, name) < FINAL
    for i in (1, 2, 3):
        assert difference(seen[i - 1], tensors(model, "method")[f"case/{name}/x_after_step{i}"]) < FINAL


# ------------------------------------------------------------------- deliberately wrong variants must be caught
def tie_to_the_smaller(self, t):
    return self.timesteps.index(min(self.timesteps, key=lambda s: (abs(s - t), s)))


def step_short_of_the_clean_picture(self, x, x0, eps, t, t_next, history):
    alpha, sigma = self.alpha_sigma(t_next.clamp(min=0))
    return alpha.to(x) * x0 + sigma.to(x) * eps


def step_with(change):
    """transfer_step with one line of its source changed."""
    import inspect

    from hsx.method import step

    source, (old, new) = inspect.getsource(step), change
    assert source.count(old) == 1
    space: dict = {"__name__": "hsx.method.step"}
    exec(compile(source.replace(old, new), "step.py", "exec", dont_inherit=True), space)
    return space["transfer_step"]


WRONG = {
    "lerp for slerp": ("g0.6", lambda tr, mp: setattr(tr, "blend", Lerp())),
    "no norm matching": ("g0.6", lambda tr, mp: setattr(tr, "normalizer", Identity())),
    "norm matching inside the mask": ("mask", lambda tr, mp: setattr(tr, "normalizer", Frobenius())),
    "> for >= at t_edit": ("t_edit444_omega", lambda tr, mp: setattr(tr, "t_edit", 445)),
    "injection at every step": ("replace50_gen25", lambda tr, mp: setattr(tr, "injection_timesteps", set(range(1000)))),
    "a tie taken to the smaller": (
        "tie_inv5_gen25",
        lambda tr, mp: mp.setattr(Trajectory, "_nearest", tie_to_the_smaller),
    ),
    "the injected eps in the direction": (
        "g0.6",
        ("eps_injected, state.eps)\n    x_next", "eps_injected, eps_injected)\n    x_next"),
    ),
    "the plain eps in x0": ("g0.6", ("predict_x0(x, eps_injected, a)", "predict_x0(x, state.eps, a)")),
    "injection in the calibration's evaluation": (
        "g0.6_omega0.3",
        (
            "backbone(x, t), eps_injected)",
            "backbone.decode(backbone.encode(x, t).with_features(features)), eps_injected)",
        ),
    ),
    "no calibration": ("g0.6_omega0.3", lambda tr, mp: setattr(tr, "calibrator", Latent(0))),
    "no direction scale": ("dt", lambda tr, mp: setattr(tr, "dt_lambda", 1.0)),
    "direction scale with calibration": ("dt_omega", ("1.0, column(direction, a))", "0.9985, column(direction, a))")),
    "no noise": ("noise300", lambda tr, mp: setattr(tr, "t_boost", 0)),
    "the last alpha-bar not 1": ("g0.3", lambda tr, mp: mp.setattr(DDIM, "step", step_short_of_the_clean_picture)),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_variants_are_caught(model, wrong, monkeypatch):
    name, change = WRONG[wrong]
    if name not in facts(model, "method")["cases"]:
        pytest.skip(f"{model} has no case {name}")
    transfer = transfer_of(model, name)
    if callable(change):
        change(transfer, monkeypatch)
    else:
        monkeypatch.setattr("hsx.method.transfer.transfer_step", step_with(change))
    assert error_of(transfer, model, name) > FINAL
