"""What plugins supply is used like what is built in."""

from types import SimpleNamespace

import pytest
import torch

import hsx
from hsx import plugins
from hsx.backbones.family import Family
from hsx.backbones.hooked import HookedBackbone
from hsx.hookspecs import hookimpl


class Odd(torch.nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.middle = torch.nn.Conv2d(3, 3, 1)
        self.middle.weight.data[:] = weight

    def forward(self, x, t):
        return self.middle(x)


class OddFamily(Family):
    """A network of nobody's, by a hook at its middle."""

    name = "odd"

    def recognises(self, state):
        return "odd.weight" in state

    def build(self, state, options, path):
        backbone = HookedBackbone(Odd(state["odd.weight"]), "middle", sample_size=options.image_size or 8)
        backbone.family = self.name
        return backbone


@pytest.fixture
def plugin(request):
    @hookimpl
    def hsx_backbones():
        if request.param:
            raise request.param
        return [OddFamily]

    module = SimpleNamespace(hsx_backbones=hsx_backbones)
    plugins.manager().register(module, "hsx-odd")
    yield module
    plugins.manager().unregister(module)


@pytest.mark.parametrize("plugin", [None], indirect=True)
def test_a_family_from_a_plugin(plugin, tmp_path):
    torch.save({"odd.weight": torch.ones(3, 3, 1, 1)}, tmp_path / "odd.pt")
    net = hsx.load_backbone(tmp_path / "odd.pt", image_size=4)
    assert net.family == "odd" and net.encode(torch.ones(1, 3, 4, 4), torch.tensor([0])).h.shape == (1, 3, 4, 4)


@pytest.mark.parametrize("plugin", [RuntimeError("on purpose")], indirect=True)
def test_a_plugin_that_raises_is_left_out(plugin, tmp_path, caplog):
    torch.save({"odd.weight": torch.ones(3, 3, 1, 1)}, tmp_path / "odd.pt")
    with pytest.raises(hsx.BackboneError, match="odd.pt: expected the weights of"):
        hsx.load_backbone(tmp_path / "odd.pt")
    assert "plugin hsx-odd is BROKEN and left out (on purpose)" in caplog.text
