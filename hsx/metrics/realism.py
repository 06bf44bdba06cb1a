"""Do results look like pictures of the styles' kind?  Measures of the whole set, not of a row."""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics.utilities import dim_zero_cat

from hsx.assets import resolve
from hsx.errors import HsxError
from hsx.io.formats import suffixes
from hsx.io.images import read_image
from hsx.metrics.base import Metric
from hsx.metrics.networks import network as load
from hsx.metrics.weights import from_torch, installed, read, split

INCEPTION = "inception"  # of the papers, by torch-fidelity
SUBSET = 1000  # pictures at most that KID compares at a time
BATCH = 32
KEY = 2  # numbers before a reference's features that tell pictures apart


class Realism(Metric):
    """What FID and KID share: features of results and of references, which the processes put together."""

    about, takes = "realism", ("result", "style")
    higher_is_better = False
    results: list[Tensor]
    styles: list[Tensor]

    def __init__(self, network: str = INCEPTION, reference: str = "") -> None:
        super().__init__()
        self.features = Features(network)
        self.references = _pictures(reference) if reference else []
        self.known: set[bytes] = set()  # styles that were looked at
        self.side = 0
        self.add_state("results", [], dist_reduce_fx="cat")
        self.add_state("styles", [], dist_reduce_fx="cat")

    def update(self, result: Tensor, style: Tensor) -> None:
        """See ``Metric``."""
        self.side = result.shape[-1]
        self.results.append(self.features(result))
        if not self.references:
            keys = [hashlib.sha256(each.float().cpu().numpy().tobytes()).digest()[:6] for each in style]
            new = {key: row for row, key in enumerate(keys) if key not in self.known}
            self.known |= new.keys()
            if new:
                halves = [[int.from_bytes(key[:3], "big"), int.from_bytes(key[3:], "big")] for key in new]
                seen = self.features(style[list(new.values())])
                self.styles.append(torch.cat([torch.tensor(halves).to(seen), seen], 1))  # float32 has 24 bits

    def reset(self) -> None:
        """As if nothing had been taken in."""
        super().reset()
        self.known = set()

    def both(self, fewest: int) -> tuple[Tensor, Tensor]:
        """The features of the results and of the references.  Raises HsxError for fewer than ``fewest`` of either."""
        results, references = dim_zero_cat(self.results), self._reference()
        for what, found in (("results", results), ("references", references)):
            if len(found) < fewest:
                wanted = f"{type(self).__name__}: expected {fewest} {what} or more, got {len(found)}"
                raise HsxError(f"{wanted}; measure more pairs, or name a folder of references")
        return results, references

    def _reference(self) -> Tensor:
        if not self.references:
            keyed = dim_zero_cat(self.styles)
            found, rows = torch.unique(keyed[:, :KEY], dim=0, return_inverse=True)
            first = torch.full((len(found),), len(keyed), device=keyed.device)
            numbers = torch.arange(len(keyed), device=keyed.device)
            return keyed[first.scatter_reduce(0, rows, numbers, "amin"), KEY:]
        batches = [self.references[i : i + BATCH] for i in range(0, len(self.references), BATCH)]
        device = self.results[0].device
        return torch.cat(
            [self.features(torch.stack([read_image(p, self.side) for p in some]).to(device)) for some in batches]
        )


class FID(Realism):
    """Fréchet distance of the results' features from those of references, 0 at best (Heusel et al. 2017, eq. 6).

    With few pictures it is too high, the more so the fewer: compare runs of as many pairs alone.

    Args:
        network: inception, or a network of timm; with @FILE behind it, its weights are read from a local file.
        reference: a folder of pictures; by default results are compared with the styles, each counted once.
    """

    def compute(self) -> Tensor:
        """See ``Realism``.  Raises HsxError for fewer than two pictures."""
        from torchmetrics.image.fid import FrechetInceptionDistance

        results, references = self.both(2)
        fid = FrechetInceptionDistance(_Given(results.shape[1]), sync_on_compute=False).to(results.device)
        fid.update(references.double(), real=True)
        fid.update(results.double(), real=False)
        return torch.as_tensor(fid.compute())


class KID(Realism):
    """Squared maximum mean discrepancy of the results' features and those of reference pictures, 0 in the mean at best.

    By a kernel of the third degree (Bińkowski et al. 2018, sec. 3); not biased by how few pictures there are.

    Args:
        network: inception, or a network of timm; with @FILE behind it, its weights are read from a local file.
        reference: a folder of pictures; by default results are compared with the styles, each counted once.
    """

    def compute(self) -> Tensor:
        """See ``Realism``.  Raises HsxError for fewer than two pictures."""
        from torchmetrics.image.kid import KernelInceptionDistance

        results, references = (_sorted(features) for features in self.both(2))
        subset = min(SUBSET, len(results), len(references))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the memory that features take
            kid = KernelInceptionDistance(_Given(results.shape[1]), subset_size=subset, sync_on_compute=False)
        kid = kid.to(results.device)
        kid.update(references.double(), real=True)
        kid.update(results.double(), real=False)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # of the subsets
            return torch.as_tensor(kid.compute()[0])


class Features:
    """Pictures (B, 3, R, R) in [-1, 1] to vectors (B, D)."""

    def __init__(self, network: str) -> None:
        self.name = network
        inception = split(network)[0] == INCEPTION
        self.call: Callable[[Tensor], Tensor] = _inception(network) if inception else load(network).vector

    def __reduce__(self) -> Any:
        return Features, (self.name,)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """In float32."""
        return self.call(images).float()


class _Given(nn.Module):
    """In the place of a network where features are given."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.num_features = n

    def forward(self, features: Tensor) -> Tensor:
        return features


@cache
def _inception(network: str) -> Callable[[Tensor], Tensor]:
    """Torch-fidelity's Inception, of the papers' weights.  Raises HsxError where these cannot be had."""
    name, file = split(network)
    with installed(network):
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
        from torchmetrics.image.fid import NoTrainInceptionV3
    state = from_torch(URL_INCEPTION_V3, name) if file is None else read(file, name)
    with tempfile.TemporaryDirectory() as folder:  # its own reader would run what is in a pickle: it gets tensors alone
        path = Path(folder) / "weights.pt"
        torch.save(state, path)
        try:
            module = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(path))
        except RuntimeError:
            raise HsxError(f"network: expected torch-fidelity's weights of {name}, got others at {file}") from None

    def call(images: Tensor) -> Tensor:
        pixels = images.float().add(1).mul(127.5).round().clamp(0, 255).byte()
        features: Tensor = module.to(images.device)(pixels)
        return features

    return call


def _pictures(folder: str) -> list[Path]:
    """The pictures in a folder and those below it.  Raises HsxError where there are none."""
    path = resolve(folder)
    found = sorted(each for each in path.rglob("*") if each.suffix.lower() in suffixes()) if path.is_dir() else []
    if not found:
        raise HsxError(f"reference: expected a folder of pictures, found none in {path}; check the path")
    return found


def _sorted(features: Tensor) -> Tensor:
    """In an order that does not depend on how they came."""
    return features[features[:, 0].argsort()]
