"""Ways in which a checkpoint file is wrapped, named, cut or stored: each loads as the true network, or is refused.

The rows are in tests/ways: what writes the file from two networks (raw and averaged weights), and what must come of it:
RAW or EMA with words of the fact ``weights``, or the words of a refusal.
"""

import ast
import copy
import re
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, StochasticWeightAveraging
from safetensors.torch import save_file

import hsx
from hsx.checkpoints.families.ddpm import DDPM
from hsx.checkpoints.families.openai import ADM, IDDPM
from hsx.checkpoints.families.unet2d import Unet2D
from hsx.checkpoints.files import tensors as reader
from hsx.checkpoints.options import Options

from ..golden import FOLDER
from ..ways.averaged import AVERAGED
from ..ways.made import (
    EMA,
    OWN,
    RAW,
    diffusion,
    net,
    sd,
)
from ..ways.stored import STORED
from ..ways.written import GOLDEN, WRITTEN
from .test_families import options

HSX = Path(hsx.__file__).parent
pytestmark = pytest.mark.filterwarnings("ignore")  # of torch, whose TorchScript and quantised tensors are old


def refused(path, words, **options):
    with pytest.raises(hsx.BackboneError, match=words) as caught:
        hsx.load_backbone(path, **{**OWN, **options})
    text = str(caught.value)
    assert text.startswith(f"{path}: expected ") and "; " in text and "\n" not in text, text
    for foreign in (
        "Error(s) in loading",
        "Weights only",
        "max()",
        "Errno",
        "safe_globals",
        "Unsupported",
        "Invalid header",
    ):
        assert foreign not in text
    return text


@torch.no_grad()
def loaded(path, which, words, tolerance=1e-5):
    backbone = hsx.load_backbone(path, **OWN)
    x, t = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1)), torch.tensor([17, 803])
    assert float((backbone(x, t) - net(which)(x, t).sample).abs().max()) < tolerance
    fact = backbone.facts["weights"]
    assert fact.origin == "read" and re.search(words, fact.value), fact
    return backbone


SAVED = AVERAGED | STORED


@pytest.mark.parametrize("way", SAVED)
def test_what_torch_saved(way, tmp_path):
    make, outcome, *words = SAVED[way]
    torch.save(make(), tmp_path / "a.pt")
    if outcome in (RAW, EMA):
        loaded(tmp_path / "a.pt", outcome, words[0], {"fp16": 5e-2, "float8": 0.5}.get(way, 1e-5))
    else:
        refused(tmp_path / "a.pt", outcome)


@pytest.mark.parametrize("way", WRITTEN)
def test_what_the_bytes_are(way, tmp_path):
    name, write, outcome = WRITTEN[way]
    with (tmp_path / name).open("wb"):
        pass
    write(tmp_path / name)
    if outcome in (RAW, EMA):
        loaded(tmp_path / name, outcome, "")
    else:
        refused(tmp_path / name, outcome)


@pytest.mark.parametrize("way", GOLDEN)
def test_the_other_families(way, tmp_path):
    name, change, words = GOLDEN[way]
    torch.save(change(torch.load(FOLDER / f"{name}.pt", weights_only=True)), tmp_path / "a.pt")
    heads = {"num_head_channels": None} if name.startswith("ddpm") else {"num_head_channels": 16}
    refused(tmp_path / "a.pt", words, **heads)


def test_the_schedule_in_a_file_is_read_and_may_not_be_contradicted(tmp_path, caplog):
    torch.save(diffusion(), tmp_path / "a.pt")
    backbone = hsx.load_backbone(tmp_path / "a.pt", **OWN)
    assert backbone.facts["schedule"] == ("cosine", "read") and backbone.facts["num_train_timesteps"] == (1000, "read")
    assert torch.equal(backbone.schedule.alphas_cumprod, hsx.NoiseSchedule.cosine(1000).alphas_cumprod)
    for wrong in ({"schedule": "linear"}, {"num_train_timesteps": 4000}, {"schedule": [0.1, 0.2]}):
        refused(tmp_path / "a.pt", r"expected the schedule of the file, .*1000 betas \(cosine\)", **wrong)
    own = hsx.NoiseSchedule.from_betas(torch.linspace(1e-4, 0.03, 50, dtype=torch.float64))
    torch.save({**diffusion(schedule=own)}, tmp_path / "b.pt")
    backbone = hsx.load_backbone(tmp_path / "b.pt", **OWN)
    assert backbone.facts["schedule"] == ("50 betas", "read")
    torch.testing.assert_close(backbone.schedule.alphas_cumprod, own.alphas_cumprod, rtol=1e-5, atol=0)


def test_the_log_says_which_weights_were_taken(tmp_path, caplog):
    torch.save({"model": sd(RAW), "ema": sd(EMA)}, tmp_path / "a.pt")
    with caplog.at_level("INFO", "hsx"):
        hsx.load_backbone(tmp_path / "a.pt", **OWN)
    assert "a.pt: weights taken: ema (averaged); also there: model (raw)" in caplog.text


@pytest.mark.parametrize(
    "version, safe",
    [
        ("2.10.0", True),
        ("2.10.0+cu128", True),
        ("2.11.0a0+git1234", True),
        ("2.14.1", True),
        ("2.100.0", True),
        ("2.9.1", False),
        ("2.9.1+cpu", False),
        ("2.5.1", False),
        ("1.13.1", False),
        ("2.10.0a0+gitabc", False),
    ],
)
def test_pickles_are_read_only_by_a_safe_torch(version, safe, tmp_path, monkeypatch):
    torch.save(sd(RAW), tmp_path / "a.pt")
    save_file(sd(RAW), tmp_path / "a.safetensors")
    monkeypatch.setattr(torch, "__version__", version)
    assert reader.read_tensors(tmp_path / "a.safetensors").state.keys() == sd(RAW).keys()
    if safe:
        assert reader.read_tensors(tmp_path / "a.pt").taken == ("the only ones in the file", "read")
    else:
        refused(
            tmp_path / "a.pt", "expected torch 2.10 or later to read a pickle safely .*CVE-2026-24747.*upgrade torch"
        )


def test_torch_load_is_called_in_one_place_and_only_for_weights():
    calls = []
    plugins = HSX.parent / "plugins"
    for file in (*HSX.rglob("*.py"), *plugins.rglob("*.py")):
        tree = ast.parse(file.read_text())
        names = [
            n
            for n in ast.walk(tree)
            if isinstance(n, ast.Attribute)
            and n.attr == "load"
            and isinstance(n.value, ast.Name)
            and n.value.id == "torch"
        ]
        calls += [(file.name, n) for n in names]
        calls += [
            (file.name, n)
            for n in ast.walk(tree)
            if isinstance(n, ast.ImportFrom)
            and n.module
            and n.module.partition(".")[0] in ("torch", "pickle", "cloudpickle", "dill", "joblib")
            and any(a.name in ("load", "loads", "Unpickler") for a in n.names)
        ]
    assert [name for name, _ in calls] == ["tensors.py"]
    (call,) = [
        n
        for n in ast.walk(ast.parse((HSX / "checkpoints" / "files" / "tensors.py").read_text()))
        if isinstance(n, ast.Call) and ast.unparse(n.func) == "torch.load"
    ]
    assert {k.arg: ast.unparse(k.value) for k in call.keywords} == {"weights_only": "True"}


class Training(pl.LightningModule):
    """A few steps that change every weight."""

    def __init__(self):
        super().__init__()
        self.net = copy.deepcopy(net(RAW))
        self.save_hyperparameters({"lr": np.float64(0.1), "folder": Path("a")})

    def training_step(self, batch):
        return sum(p.square().sum() for p in self.net.parameters())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize("callback, key", [
    (EMAWeightAveraging(decay=0.5), "state_dict.net (averaged); also there: current_model_state.net (raw)"),
    (StochasticWeightAveraging(0.01, swa_epoch_start=1), "average_model_state"),
])  # fmt: skip
@torch.no_grad()
def test_lightnings_own_callbacks(callback, key, tmp_path):
    module = Training()
    trainer = pl.Trainer(max_epochs=4, callbacks=[callback], logger=False, enable_checkpointing=False,
                         enable_progress_bar=False, enable_model_summary=False, accelerator="cpu")  # fmt: skip
    saved = {}

    class Save(pl.Callback):
        def on_train_epoch_end(self, trainer, module):
            if trainer.current_epoch == 2:
                trainer.save_checkpoint(tmp_path / "a.ckpt")
                average = copy.deepcopy(callback._average_model)
                saved["net"] = getattr(average, "module", average).net.eval()

    trainer.callbacks.append(Save())
    with torch.enable_grad():
        trainer.fit(module, torch.utils.data.DataLoader([0]))
    backbone = hsx.load_backbone(tmp_path / "a.ckpt", **OWN)
    x, t = torch.randn(2, 3, 16, 16), torch.tensor([17, 803])
    assert float((backbone(x, t) - saved["net"](x, t).sample).abs().max()) < 1e-5
    assert float((backbone(x, t) - module.net(x, t).sample).abs().max()) > 1e-3
    assert key in backbone.facts["weights"].value


@pytest.mark.parametrize("name", ["ddpm/base", "adm/base", "iddpm/scale_shift", "unet2d"])
def test_whatever_tensor_is_missing_or_cut_is_named(name):
    """Also where the tensor is one by which the architecture is read."""
    state, given = sd(RAW), OWN
    if name != "unet2d":
        state, given = torch.load(FOLDER / f"{name}.pt", weights_only=True), options(name)
    state = {k: v.float() for k, v in state.items()}
    family = next(f for f in (DDPM(), ADM(), IDDPM(), Unet2D()) if f.recognises(state))
    for i, key in list(enumerate(state))[::3]:
        cut = {"missing": None, "of shape": state[key][:-1]}
        for said, value in list(cut.items())[i % 2 : i % 2 + 1]:
            broken = {k: value if k == key else v for k, v in state.items() if k != key or value is not None}
            assert family.recognises(broken)
            with pytest.raises(hsx.BackboneError, match=f"a.pt: expected the whole of .* {re.escape(key)} {said}"):
                family.build(broken, Options.checked(given), Path("a.pt"))


def test_there_are_ways_enough():
    assert len(SAVED) + len(WRITTEN) + len(GOLDEN) >= 60


def test_a_setting_that_says_otherwise_is_answered_by_the_option(tmp_path):
    torch.save({"model": sd(RAW), "config": {"noise_schedule": "cosine"}}, tmp_path / "a.pt")
    assert hsx.load_backbone(tmp_path / "a.pt", schedule="cosine", **OWN).facts["schedule"] == ("cosine", "given")


def test_a_bare_file_with_scale_shift_has_no_norm_in_its_middle_attention(tmp_path):
    config = dict(net(RAW).config) | {"resnet_time_scale_shift": "scale_shift"}
    unet = type(net(RAW)).from_config(config)
    torch.save(unet.state_dict(), tmp_path / "a.pt")
    x, t = torch.randn(1, 3, 16, 16), torch.tensor([17])
    with torch.no_grad():
        assert torch.allclose(hsx.load_backbone(tmp_path / "a.pt", **OWN)(x, t), unet.eval()(x, t).sample, atol=1e-5)
