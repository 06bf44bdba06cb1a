"""Runs of random settings into one store: each picture is what a fresh store gives.

Whatever tells one run's trajectories or pictures from another's is drawn at random, so that two runs often differ in
one thing alone; if that thing had no part in a key, a shared store would hand out the wrong trajectory.
"""

from __future__ import annotations

import csv
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNet2DModel
from PIL import Image

from hsx import strategies
from hsx.runner.data import Pairs
from hsx.runner.model import TransferModel
from hsx.runner.run import run
from hsx.runner.trainer import make_trainer
from hsx.store.trajectories import Store

from ..conftest import picture

NETS = {  # of the same shapes where they can be, so that only a use differs
    "plain": {},
    "other": {"norm_eps": 1e-5},
    "classes": {"num_class_embeds": 3},
    "variance": {"out_channels": 6},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """Weights, pictures that are not square, and masks."""
    home = tmp_path_factory.mktemp("thousand")
    for number, (name, changes) in enumerate(NETS.items()):
        torch.manual_seed(number)
        unet = UNet2DModel(
            **{
                "sample_size": 8,
                "block_out_channels": (32, 32),
                "layers_per_block": 1,
                "attention_head_dim": 8,
                "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
                "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
                **changes,
            }
        )
        torch.save(unet.state_dict(), home / f"{name}.pt")
    for number, kind in enumerate(("contents", "styles", "masks", "further")):
        for i in range(2):
            picture(home / kind / f"{kind[0]}{i}.png", 10 * number + i, (14, 9) if i else (9, 16))
    return home


def backbone(draw: random.Random, home: Path) -> dict:
    name = draw.choice([*NETS])
    options = {
        "source": str(home / f"{name}.pt"),
        "image_size": draw.choice([8, 8, 16]),
        **draw.choice([{"num_head_channels": 8}, {"num_head_channels": 16}, {"num_heads": 1}]),
    }
    T = draw.choice([None, None, 1000, 500])
    options |= {"num_train_timesteps": T} if T else {}
    schedule = draw.choice([None, "linear", "cosine", torch.linspace(1e-4, 0.015, T or 1000).tolist()])
    options |= {"schedule": schedule} if schedule else {}
    options |= {"rescale_timesteps": True} if draw.random() < 0.3 else {}
    options |= {"class_label": draw.randrange(3)} if name == "classes" else {}
    return options | ({"dtype": "float64"} if draw.random() < 0.2 else {})


def moves(draw: random.Random, home: Path) -> dict:
    gamma = draw.choice([0.3, 0.6, 1.0])

    def path(kind: str) -> str:
        return str(home / kind / f"{kind[0]}{draw.randrange(2)}.png")

    inner = draw.choice([strategies.Slerp, strategies.Lerp, lambda: strategies.SphericalMean([path("further")])])
    return {
        "schedule": draw.choice(
            [
                lambda: strategies.Constant(gamma),
                lambda: strategies.Linear(gamma, 0.1),
                lambda: strategies.Cosine(gamma, 0.1),
                lambda: strategies.Interval(gamma, 900, draw.choice([0, 300])),
                lambda: strategies.Table([gamma, 0.2, 0.5]),
                lambda: strategies.SignalToNoise(gamma, draw.choice([0.5, 1.0])),
            ]
        )(),
        "blend": draw.choice(
            [inner, lambda: strategies.Masked(path("masks"), inner(), draw.choice([0.0, 0.1]), draw.random() < 0.5)]
        )(),
        "normalizer": draw.choice([strategies.Frobenius, strategies.AdaIN, strategies.Identity])(),
        "calibrator": draw.choice(
            [
                strategies.NoCalibration,
                lambda: strategies.Latent(draw.choice([0.0, 0.1, 0.3])),
                lambda: strategies.IteratedLatent(0.3, 0.05, 2),
            ]
        )(),
    }


def method(draw: random.Random, timesteps: int, steep: bool) -> dict:
    """Of a cosine schedule the last timesteps are left out: they divide by next to nothing, and so enlarge rounding."""
    last = timesteps - 1
    return {
        "inversion_steps": draw.choice([3, 4]),
        "generation_steps": draw.choice([3, 4, 5]),
        "injection_steps": draw.choice([None, 2, 400]),
        "t_start": draw.choice([last * 6 // 10, last * 7 // 10, *([] if steep else [None, last])]),
        "t_edit": draw.choice([None, 0, last // 3]),
        "t_boost": draw.choice([None, 0, last // 2]),
        "dt_lambda": draw.choice([1.0, 0.99]),
        "dt_end": draw.choice([None, last // 2]),
        "seed": draw.randrange(3),
    }


def data(draw: random.Random, home: Path, fit: str, number: int) -> dict:
    chosen = {"fit": fit, "batch_size": draw.choice([1, 2, 4])}
    if draw.random() < 0.6:
        return {
            **chosen,
            "contents": str(home / "contents"),
            "styles": str(home / "styles"),
            "pairing": draw.choice(["product", "zip"]),
        }
    table = home / f"pairs{number}.csv"
    with table.open("w") as file:
        rows = csv.writer(file)
        rows.writerow(["content", "style", "mask", "gamma", "seed"])
        for i in range(2):
            rows.writerow(
                [
                    f"contents/c{i}.png",
                    f"styles/s{draw.randrange(2)}.png",
                    draw.choice(["", f"masks/m{draw.randrange(2)}.png"]),
                    draw.choice(["", 0.0, 0.7]),
                    draw.choice(["", 5]),
                ]
            )
    return {**chosen, "pairs": str(table)}


def pixels(folder: Path) -> dict[str, np.ndarray]:
    return {path.name: np.asarray(Image.open(path)).astype(int) for path in sorted(folder.glob("*__*.png"))}


def apart(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> int:
    return max((int(np.abs(one[name] - other[name]).max()) for name in one), default=0)


def one_run(draw: random.Random, home: Path, folder: Path, number: int) -> None:
    """The same settings with the shared store and with a fresh one."""
    options = backbone(draw, home)
    steps = method(draw, options.get("num_train_timesteps") or 1000, options.get("schedule") == "cosine")
    fit = draw.choice(["crop", "pad", "stretch"])
    pairs, chosen, dtype = data(draw, home, fit, number), moves(draw, home), draw.choice(["float16", "float32"])
    module = TransferModel(options, **chosen, **steps, fit=fit)

    def made(store: str, **others) -> dict[str, np.ndarray]:
        out = folder / "out"
        code = run(module, Pairs(**pairs | others), make_trainer("cpu", 1), Store(folder / store, dtype), out)
        assert code in (0, 3)
        found = pixels(out)
        shutil.rmtree(out)
        if store != "store":
            shutil.rmtree(folder / store)
        return found

    shared, fresh = made("store"), made("fresh")
    said = f"run {number}: {options | {'schedule': str(options.get('schedule'))[:20]}}, {steps}, {pairs}"
    assert shared.keys() == fresh.keys(), said
    if (worst := apart(shared, fresh)) > 1:  # what batches of other sizes may do where steps enlarge rounding
        rounding = max(apart(made("other", batch_size=size), fresh) for size in (1, 2, 4))
        assert worst <= rounding, f"{worst} of 255 in {said}, where other batches make {rounding}"


def many(number: int, home: Path, folder: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    for i in range(number):
        one_run(draw, home, folder, i)
    assert len(list(Store(folder / "store").entries())) > number // 4


def test_some_runs_into_one_store(home, tmp_path):
    many(30, home, tmp_path)


@pytest.mark.slow
def test_a_thousand_runs_into_one_store(home, tmp_path):
    many(1000, home, tmp_path)
