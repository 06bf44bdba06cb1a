"""Every family of checkpoint against the outputs of its original code."""

import json

import pytest
import torch
from diffusers.models.attention_processor import Attention
from safetensors.torch import load_file

import hsx

from .. import original_names
from ..golden import FOLDER, difference

CHECKPOINTS = sorted(f"{p.parent.name}/{p.stem}" for p in FOLDER.glob("*/*.pt"))

FAMILY = {"p2/base": "adm", "adm/no_resblock_updown": "iddpm"}  # else the folder's name


def options(name: str) -> dict:
    """What the checkpoint's names and shapes cannot tell."""
    config = json.loads((FOLDER / f"{name}.json").read_text())["config"]
    found = {"image_size": config.get("image_size") or config["resolution"]}
    found |= {k: config[k] for k in ("num_heads", "num_head_channels") if k in config}
    if config.get("use_new_attention_order"):
        found["attention_order"] = "new"
    if "num_classes" in config:
        found["class_label"] = 0
    return found


@pytest.mark.parametrize("name", CHECKPOINTS)
@torch.no_grad()
def test_outputs_h_and_skips_are_the_originals(name):
    golden = load_file(FOLDER / f"{name}_forward.safetensors")
    facts = json.loads((FOLDER / f"{name}.json").read_text())
    net = hsx.load_backbone(FOLDER / f"{name}.pt", **options(name))
    assert net.family == FAMILY.get(name, name.split("/")[0])
    for t, out, h in [("t", "out", "h"), ("t_edge", "out_edge", "h_edge")]:
        for rows in (slice(0, 2), slice(0, 1), slice(1, 2)):
            if "y" in golden:  # one label a backbone: row by row
                rows = slice(rows.start, rows.start + 1)
                net.class_label = int(golden["y"][rows.start])
            b = net.encode(golden["x"][rows], golden[t][rows])
            assert difference(net.decode(b), golden[out][rows, :3]) < 5e-5
            assert difference(b.h, golden[h][rows]) < 1e-4
    assert [list(s.shape[1:]) for s in b.skips] == [s[1:] for s in facts["skip_shapes"]]
    if "y" not in golden:
        b = net.encode(golden["x"], golden["t"])
        torch.testing.assert_close(torch.stack([s.mean() for s in b.skips]), golden["skip_mean"], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(torch.stack([s.std() for s in b.skips]), golden["skip_std"], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_rescaled_timesteps_of_4000_steps():
    golden = load_file(FOLDER / "iddpm" / "scale_shift_rescaled4000.safetensors")
    net = hsx.load_backbone(
        FOLDER / "iddpm" / "scale_shift.pt",
        image_size=16,
        num_heads=4,
        schedule="cosine",
        num_train_timesteps=4000,
        rescale_timesteps=True,
    )
    assert len(net.schedule) == 4000
    assert difference(net(golden["x"], golden["t"]), golden["out"][:, :3]) < 5e-5


@torch.no_grad()
def test_a_wrong_order_or_number_of_heads_gives_other_images():
    golden = load_file(FOLDER / "adm" / "new_attention_order_forward.safetensors")
    file = FOLDER / "adm" / "new_attention_order.pt"
    for wrong in ({"num_head_channels": 8}, {"num_head_channels": 16, "attention_order": "new"}):
        net = hsx.load_backbone(file, image_size=16, **wrong)
        assert difference(net(golden["x"], golden["t"]), golden["out"][:, :3]) > 1e-3


def test_classes_and_schedules_are_asked_for():
    file, given = FOLDER / "adm" / "class_cond.pt", {"image_size": 16, "num_head_channels": 16}
    with pytest.raises(hsx.HsxError, match="one of 10 classes; choose one with the option class_label"):
        hsx.load_backbone(file, **given)
    with pytest.raises(hsx.HsxError, match="class_label: expected 0 to 9, got 10"):
        hsx.load_backbone(file, class_label=10, **given)
    with pytest.raises(hsx.BackboneError, match="schedule as linear, cosine or a list of betas, got wavy"):
        hsx.load_backbone(file, class_label=1, schedule="wavy", **given)
    assert len(hsx.load_backbone(file, class_label=1, schedule=[0.1, 0.2], **given).schedule) == 2


@pytest.mark.parametrize("heads", [1, 4])
@torch.no_grad()
def test_a_fixed_number_of_heads_at_very_different_widths(heads, tmp_path):
    """A first level narrower than one head of the deepest's share: every width has its own head size."""
    shapes = original_names.openai(32, (1, 8), 1, 16, (16, 8), resblock_updown=False)
    torch.save({name: torch.randn(shape) * 0.1 for name, shape in shapes.items()}, tmp_path / "a.pt")
    net = hsx.load_backbone(tmp_path / "a.pt", image_size=16, num_heads=heads)
    found = {m.heads for m in net.modules() if isinstance(m, Attention)}
    assert found == {heads} and net(torch.randn(1, 3, 16, 16), torch.tensor([5])).isfinite().all()
    torch.save(net.unet.state_dict(), tmp_path / "b.pt")  # the same under diffusers' own names
    again = hsx.load_backbone(tmp_path / "b.pt", image_size=16, num_heads=heads)
    x, t = torch.randn(2, 3, 16, 16), torch.tensor([5, 900])
    assert torch.equal(net(x, t), again(x, t))
