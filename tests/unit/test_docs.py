"""What docs/checkpoints.md says is so."""

import re
from dataclasses import fields
from pathlib import Path

import torch

from hsx.checkpoints.cards import CARDS
from hsx.checkpoints.load import FILES
from hsx.checkpoints.options import Options
from hsx.plugins import registry as plugins

from .test_unet2d import tiny

PAGE = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text()


def test_every_option_family_and_kind_of_file_is_named():
    names = [field.name for field in fields(Options)] + list(plugins.load().of("backbone")) + list(FILES)
    assert [name for name in names if name not in PAGE] == []
    assert [card.files[0] for card in CARDS if card.files[0].split("_")[0] not in PAGE] == []


def test_the_code_runs_as_it_stands():
    unet = tiny()
    unet.middle_block = unet.mid_block
    unet.forward = lambda x, t, forward=unet.forward: forward(x, t)
    code = re.search(r"```python\n(.*?)```", PAGE, re.S)[1].replace("sample_size=64", "sample_size=16")
    space = {"my_unet": unet}
    exec(code, space)
    assert space["backbone"](torch.randn(1, 3, 16, 16), torch.tensor([5])).shape == (1, 3, 16, 16)
