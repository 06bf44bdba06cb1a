"""The identities of trajectories, pictures and runs, in one place."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsx.io.digests import digest, file_digest

if TYPE_CHECKING:
    from hsx.method.config import TransferConfig

FORMAT, VERSION = "hsx_trajectory", "2"  # 2: keys hold the whole network's fingerprint


def trajectory_key(pixels: str, inversion: dict[str, Any], dtype: str) -> str:
    """The name of a trajectory, see ``Store.key``."""
    parts = json.dumps([FORMAT, VERSION, pixels, inversion, dtype], sort_keys=True)
    return hashlib.blake2b(parts.encode(), digest_size=12).hexdigest()


@dataclass(frozen=True)
class Fingerprints:
    """The identities of one run; picklable, for the processes that read pictures.

    Attributes:
        settings: a digest of the network and of all settings of the transfer.
        inversion: what decides a style's trajectory besides its picture: the network, the steps and t_start.
        precision: of the network's numbers.
        dtype: of h as it is kept.
        fit: how pictures and masks become square.
        content_inversion: what decides a content's, where that is inverted less far than a style.
    """

    settings: str
    inversion: dict[str, Any]
    precision: str
    dtype: str
    fit: str
    content_inversion: dict[str, Any] | None = None

    @classmethod
    def of(cls, network: str, config: TransferConfig, precision: str, dtype: str) -> Fingerprints:
        """Those of a run with this network, by its fingerprint, and these settings."""
        settings = digest({"network": network, **config.record()})
        styles, contents = ({"network": network, **how} for how in (config.inversion, config.content_inversion))
        return cls(settings, styles, precision, dtype, config.fit, contents)

    @cached_property
    def run(self) -> str:
        """A digest of all that the pictures of a run share."""
        return digest(self.settings, self.dtype, self.precision)

    def trajectory(self, pixels: str, content: bool = False) -> str:
        """The key of the trajectory of the style, or the content, whose pixels have this digest."""
        inversion = (self.content_inversion if content else None) or self.inversion
        return trajectory_key(pixels, {**inversion, "precision": self.precision}, self.dtype)

    def picture(self, pixels: list[str], mask: Path | None, gamma: float | None, seed: int) -> str:
        """A digest of all that decides how a result looks.

        Args:
            pixels: the digests of the content's and the style's pixels.

        Raises:
            ImageError: for a mask that cannot be read.
        """
        own = {"mask": None if mask is None else [file_digest(mask), self.fit], "gamma": gamma, "seed": seed}
        return digest(self.run, pixels, own)
