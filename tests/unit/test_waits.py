"""No step waits for the device: shown on the meta device, which has nothing to wait for and so refuses to be read."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import hsx
from hsx.backbones.unet2d import UNet2DBackbone
from hsx.method.inversion import Trajectory
from hsx.strategies import AdaIN, Constant, Latent, Lerp, Multistep2M, MultistepV, NoCalibration, Renoised, Slerp

from ..folders import net


class Waits(TorchDispatchMode):
    """Counts the copies between devices that a caller waits for; reading a number of a meta tensor is an error."""

    number = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default):
            into = kwargs.get("device") or args[0].device
            crosses = torch.device(into).type != args[-1].device.type
            self.number += crosses and not kwargs.get("non_blocking", len(args) > 2 and args[2])
        return function(*args, **kwargs)


@pytest.mark.parametrize(
    "options",
    [
        {"schedule": Constant(0.5), "blend": Slerp(), "calibrator": Latent(0.3), "t_boost": 999},
        {"blend": Lerp(), "normalizer": AdaIN(), "calibrator": NoCalibration(), "dt_lambda": 0.9},
        {"solver": Multistep2M(), "t_edit": 400, "style_eps": "first"},
        {"solver": MultistepV(), "t_edit": 400, "same_strength_as": 50},
        {"inverter": 1, "sites": ["h", "deepest:1"], "donor": Renoised()},
    ],
)
def test_no_step_waits_for_the_device(options):
    network = UNet2DBackbone(net(), hsx.NoiseSchedule.linear()).to("meta")
    options = {"t_edit": 0, "t_boost": 0, **options}
    transfer = hsx.Transfer(network, inversion_steps=3, generation_steps=3, **options)
    x = torch.zeros(2, 3, network.sample_size, network.sample_size)  # it is looked at once, where it is
    gamma = torch.tensor([0.5, 0.0])  # rows that differ
    with Waits() as counted:
        styles = transfer.invert(x, ())
        contents = transfer.contents(x) if transfer.donor.inverts else Trajectory.of_pictures(x.to("meta"), 999)
        made = transfer.inject(contents, styles, gamma=gamma)
    assert made.is_meta and made.shape == x.shape
    assert counted.number <= 2  # the pictures on their way there, of styles and of contents
