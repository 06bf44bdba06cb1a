"""Networks that measures look through, by timm: loaded once, frozen, and shared by all measures that name the same."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hsx.errors import HsxError, first_line
from hsx.metrics.weights import from_hub, installed, read, split


class Network:
    """A network of timm with its weights, without its classifier.

    Pictures (B, 3, R, R) in [-1, 1] are resized to the side that the network was trained with, smaller ones enlarged,
    and normalised as its own configuration says.  It follows the pictures' device, and computes in float32.
    """

    def __init__(self, network: str, module: nn.Module, config: dict[str, Any]) -> None:
        self.name, self.module = network, module.eval().requires_grad_(False)
        self.size: tuple[int, int] = config["input_size"][-2:]
        self.mean, self.std = (torch.tensor(config[key]).reshape(1, 3, 1, 1) for key in ("mean", "std"))

    def __reduce__(self) -> Any:
        return network, (self.name,)  # measures are small when they are copied or sent

    @torch.no_grad()
    def maps(self, images: Tensor) -> list[Tensor]:
        """The features after each of its stages (of a transformer: blocks), (B, C, H, W) each, the last one last."""
        module: Any = self.module.to(images.device)
        stages: list[Tensor] = module.forward_intermediates(self._normalised(images), intermediates_only=True)
        return stages

    @torch.no_grad()
    def vector(self, images: Tensor) -> Tensor:
        """What its classifier would be given, (B, D)."""
        features: Tensor = self.module.to(images.device)(self._normalised(images))
        return features

    def _normalised(self, images: Tensor) -> Tensor:
        x = F.interpolate(images.float(), self.size, mode="bicubic", antialias=True).clamp(-1, 1)
        return ((x + 1) / 2 - self.mean.to(x)) / self.std.to(x)


@cache
def network(name: str) -> Network:
    """The network of timm that ``name`` names, or NAME@FILE with weights in a local file.

    Raises:
        HsxError: for a name that timm does not know, and where weights cannot be had or are those of another network.
    """
    known, file = split(name)
    with installed(name):
        import timm
        from timm import data
    try:
        module: Any = timm.create_model(known, num_classes=0)
        config: dict[str, Any] = data.resolve_model_data_config(module)  # type: ignore[attr-defined, no-untyped-call]
    except Exception as error:
        raise HsxError(
            f"network: expected a name of timm's, got {known} ({first_line(error)}); timm.list_models() lists them"
        ) from None
    if not hasattr(module, "forward_intermediates") or config["input_size"][0] != 3:
        raise HsxError(f"network: expected one of colour pictures that shows its features, got {known}; take another")
    if file is None:
        source = module.pretrained_cfg
        if not source.get("hf_hub_id"):
            raise HsxError(f"{known}: expected a network whose weights timm has, got one without; give {known}@FILE")
        file = from_hub(source["hf_hub_id"], source.get("hf_hub_filename") or "model.safetensors", known)
    _load(module, read(file, known), known)
    return Network(name, module, config)


def _load(module: nn.Module, state: dict[str, Tensor], name: str) -> None:
    """Give it its weights, under the names that published ones have too; those of a classifier are passed over."""
    renamed = getattr(sys.modules[type(module).__module__], "checkpoint_filter_fn", lambda state, _: state)
    try:
        missing = module.load_state_dict(renamed(state, module), strict=False).missing_keys
    except Exception as error:  # another shape, or names that the filter does not find
        missing = [" ".join(str(error).split())[:200]]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise HsxError(f"network: expected all weights of {name}, the file lacks {missing[0]}{more}; give its own file")
