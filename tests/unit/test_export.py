"""``hsx convert``: folders that diffusers opens and samples from, and that hsx reads again to the bit."""

import warnings

import pytest
import torch
from diffusers import DDPMPipeline, UNet2DModel

import hsx
from hsx.checkpoints.export import export
from hsx.checkpoints.folders.read import HSX_FILE

from ..golden import FOLDER
from .test_families import options

GOOD = ["ddpm/base", "ddpm/deep", "p2/base", "adm/base", "adm/new_attention_order", "adm/no_resblock_updown"]


def same(a, b, size, label=None):
    x, t = torch.randn(3, 3, size, size), torch.tensor([0, 500, 999])
    with torch.no_grad():
        assert torch.equal(a(x, t), b(x, t))
    assert torch.allclose(a.schedule.alphas_cumprod, b.schedule.alphas_cumprod, rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("schedule", ["linear", "cosine", [0.1, 0.2, 0.3]])
def test_a_folder_for_diffusers(name, schedule, tmp_path):
    given = options(name)
    net = hsx.load_backbone(FOLDER / f"{name}.pt", **given, schedule=schedule)
    export(net, tmp_path / "folder")
    again = hsx.load_backbone(tmp_path / "folder")
    x, t = torch.randn(2, 3, given["image_size"], given["image_size"]), torch.tensor([0, 2])
    with torch.no_grad():
        assert torch.equal(net(x, t), again(x, t))
    torch.testing.assert_close(net.schedule.alphas_cumprod, again.schedule.alphas_cumprod, rtol=0, atol=1e-15)
    pipeline = DDPMPipeline.from_pretrained(tmp_path / "folder")
    assert (pipeline.scheduler.config.variance_type == "learned_range") == net.facts["learned_variance"].value
    pipeline.set_progress_bar_config(disable=True)
    pictures = pipeline(num_inference_steps=2, output_type="np", generator=torch.Generator().manual_seed(0)).images
    assert pictures.shape == (1, given["image_size"], given["image_size"], 3)


def fixed_heads_at_two_widths(tmp_path):
    """iddpm/scale_shift with attention at both its levels' widths would be ImageNet 64's case: made here."""
    from .. import original_names

    shapes = original_names.openai(32, (1, 2), 1, 16, (16, 8), resblock_updown=False)
    generator = torch.Generator().manual_seed(0)
    state = {name: torch.randn(shape, generator=generator) * 0.1 for name, shape in shapes.items()}
    torch.save(state, tmp_path / "a.pt")
    return tmp_path / "a.pt", {"image_size": 16, "num_heads": 4}


@pytest.mark.parametrize(
    "case, reason",
    [
        ("heads", "4 attention heads at every width"),
        ("rescaled", "timesteps rescaled by 0.25"),
        ("class", "a class label at every call"),
        ("time", "a time embedding of 32 sinusoids"),
    ],
)
def test_what_diffusers_cannot_say_is_refused_and_written_for_hsx_alone(case, reason, tmp_path):
    if case == "heads":
        file, given = fixed_heads_at_two_widths(tmp_path)
    elif case == "rescaled":
        file, given = (
            FOLDER / "iddpm" / "plain.pt",
            {**options("iddpm/plain"), "num_train_timesteps": 4000, "rescale_timesteps": True, "schedule": "cosine"},
        )
    elif case == "time":  # ADM 512's narrow first level
        from .. import original_names

        shapes = original_names.openai(32, (2, 2), 1, 16, (8,))
        torch.save({name: torch.randn(shape) * 0.1 for name, shape in shapes.items()}, tmp_path / "a.pt")
        file, given = tmp_path / "a.pt", {"image_size": 16, "num_head_channels": 32}
    else:
        file, given = FOLDER / "adm" / "class_cond.pt", options("adm/class_cond")
    net = hsx.load_backbone(file, **given)
    with pytest.raises(hsx.BackboneError, match=f"{reason}.*--hsx_only"):
        export(net, tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
    export(net, tmp_path / "folder", hsx_only=True)
    same(net, hsx.load_backbone(tmp_path / "folder"), 16)
    with pytest.raises(EnvironmentError), warnings.catch_warnings():  # diffusers does not open it and misread it
        warnings.simplefilter("ignore")
        UNet2DModel.from_pretrained(tmp_path / "folder")
    (tmp_path / "folder" / HSX_FILE).write_text("{")
    with pytest.raises(hsx.BackboneError, match="convert the checkpoint again"):
        hsx.load_backbone(tmp_path / "folder")


def test_a_taken_folder_is_refused(tmp_path):
    net = hsx.load_backbone(FOLDER / "ddpm" / "base.pt", image_size=32)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("x")
    with pytest.raises(hsx.HsxError, match="expected an empty folder or none"):
        export(net, tmp_path / "folder")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
