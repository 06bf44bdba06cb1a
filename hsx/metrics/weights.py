"""The weights of networks that measures look through: from a file, or fetched once; data alone, nothing is run."""

from __future__ import annotations

import io
import logging
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError

from torch import Tensor

from hsx.errors import HsxError, expanded, first_line

T = TypeVar("T")
PATIENCE = 10  # seconds until a site that does not answer is given up
REMEDY = "check the network, or fetch the file elsewhere and name it: {name}@FILE"

log = logging.getLogger("hsx")


def split(network: str) -> tuple[str, Path | None]:
    """NAME or NAME@FILE as the name and the file, if there is one.

    Raises:
        HsxError: for no name, or a file that is not there.
    """
    name, at, file = network.partition("@")
    if not name or at and not file:
        raise HsxError(f"network: expected NAME or NAME@FILE, got {network!r}; NAME is one of timm's, such as resnet50")
    path = expanded(file, "network") if file else None
    if path and not path.is_file():
        raise HsxError(f"network: expected a file of the weights of {name}, found none at {path}; check the path")
    return name, path


def read(path: Path, name: str) -> dict[str, Tensor]:
    """The tensors of a file of weights, safetensors or of torch.save, by timm's reader, which runs no code in it.

    Raises:
        HsxError: for one that cannot be read so.
    """
    with installed(name):
        from timm.models import load_state_dict
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, of how a file was written
            return load_state_dict(str(path), weights_only=True)
    except Exception as error:  # torch's unpickler raises nearly anything
        wanted = f"expected the weights of {name} as safetensors or tensors of torch.save"
        raise HsxError(f"network: {wanted}, could not read {path} ({first_line(error)}); fetch it again") from None


def from_hub(repository: str, file: str, name: str) -> Path:
    """A file of the Hub, in its own cache.  Raises HsxError, at once, where it is not and the Hub is not reached."""
    from huggingface_hub import hf_hub_download, hf_hub_url, try_to_load_from_cache

    cached = try_to_load_from_cache(repository, file)
    if isinstance(cached, str):
        return Path(cached)

    def fetched() -> Path:
        request = urllib.request.Request(hf_hub_url(repository, file), method="HEAD")
        with suppress(HTTPError):  # which is an answer, of which the Hub's client knows more
            urllib.request.urlopen(request, timeout=PATIENCE).close()  # without one that client tries for a minute
        return Path(hf_hub_download(repository, file))

    return fetch(fetched, name)


def from_torch(url: str, name: str) -> dict[str, Tensor]:
    """The tensors behind a URL, kept in torch's cache, its hash as in its name.  Raises HsxError if there are none."""
    from torch.hub import load_state_dict_from_url

    options: dict[str, Any] = {"map_location": "cpu", "progress": False, "check_hash": True, "weights_only": True}
    log.info("%s: its weights are read from torch's cache, or fetched once from %s", name, url)
    with redirect_stdout(io.StringIO()):  # torch's own line
        return fetch(lambda: load_state_dict_from_url(url, **options), name)


def fetch(get: Callable[[], T], name: str) -> T:
    """What ``get`` fetches of the network ``name``.  Raises HsxError, in one line, where it fails."""
    try:
        return get()
    except Exception as error:  # urllib's, the Hub's client's and its HTTP library's own
        remedy = REMEDY.format(name=name)
        why = f"expected weights that are here or can be fetched, got an error ({first_line(error)})"
        raise HsxError(f"{name}: {why}; {remedy}") from None


@contextmanager
def installed(name: str) -> Iterator[None]:
    """Packages are imported within it.  Raises HsxError where one is missing."""
    try:
        yield
    except ImportError as error:
        wanted = f"{name}: expected the package {error.name}, which is not installed"
        raise HsxError(f"{wanted}; pip install 'hsx[metrics]'") from None
