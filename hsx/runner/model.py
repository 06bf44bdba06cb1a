"""What a config's section ``model`` names: a frozen network, and the settings of a transfer."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any

from hsx.assets import resolve
from hsx.backbones.compiled import Compiled
from hsx.backbones.counted import Counted
from hsx.checkpoints.load import load_backbone
from hsx.errors import HsxError
from hsx.io.urls import public_url
from hsx.method.transfer import Transfer
from hsx.store.fingerprints import Fingerprints
from hsx.strategies.arguments import absolute


class TransferModel:
    """A frozen diffusion model and the settings of a transfer.

    Args:
        backbone: the checkpoint: a diffusers folder, a checkpoint file or hsx://demo_faces; or a mapping with source
            and what the file cannot tell, such as image_size.
        settings, options: a TransferConfig, or its fields.

    Attributes:
        source: the checkpoint as it is found from any folder, without secrets.
        network: the network's fingerprint.
        config: what the section ``model`` of a config takes to make this again.
        channels_last: whether the channels are last in memory.
        also: sites whose features are recorded too, for other settings with the same inversion.
    """

    channels_last = False
    also: tuple[str, ...] = ()

    def __init__(self, backbone: str | Path | dict[str, Any], *settings: Any, **options: Any) -> None:
        about = {"source": backbone} if isinstance(backbone, (str, Path)) else dict(backbone)
        if "source" not in about:
            raise HsxError("model.backbone: expected a path, or a mapping with source, got none; name the checkpoint")
        self.backbone = Counted(load_backbone(**about))
        self.network = self.backbone.fingerprint()
        self.transfer = Transfer(self.backbone, *settings, **options)
        self.source = anywhere(str(about["source"]))
        self.named = self.source if len(about) == 1 else {**about, "source": self.source}
        self.config: dict[str, Any] = {"backbone": self.named, **self.transfer.config.as_model()}

    def with_settings(self, *settings: Any, **options: Any) -> TransferModel:
        """The same network, which both share, with other settings: a TransferConfig, or its fields."""
        other = copy(self)
        other.transfer = Transfer(self.backbone, *settings, **options)
        other.config = {"backbone": self.named, **other.transfer.config.as_model()}
        return other

    def compile(self, on: bool = True) -> None:
        """Let E and D run compiled, or not, from now on; the network and its fingerprint are the same."""
        now = self.backbone.wrapped
        if isinstance(now, Compiled) != on:
            self.backbone.wrapped = now.wrapped if isinstance(now, Compiled) else Compiled(now)

    def fingerprints(self, precision: str, dtype: str) -> Fingerprints:
        """The identities of a run with numbers of this precision, whose store keeps h in ``dtype``."""
        return Fingerprints.of(self.network, self.transfer.config, precision, dtype)


def anywhere(source: str) -> str:
    """The source of a backbone as it is found from any folder: a path made absolute, of a URL the public part."""
    return str(absolute(source)) if resolve(source).exists() else public_url(source)
