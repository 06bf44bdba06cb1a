"""Models from elsewhere: a Hub id or an http(s) URL, fetched once into a cache, whole or not at all."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import urllib.request
from pathlib import Path
from urllib.parse import unquote, urlparse

from huggingface_hub import snapshot_download
from rich.progress import Progress

from hsx.errors import BackboneError, first_line
from hsx.images import atomic

CHUNK = 1 << 20
PATTERNS = ["*.json", "*.safetensors", "*.bin", "*/*.json", "*/*.safetensors", "*/*.bin"]


def is_url(source: str) -> bool:
    """Whether this is an http(s) address."""
    return source.startswith(("http://", "https://"))


def is_hub_id(source: str) -> bool:
    """Whether this may be a model of the Hub, such as google/ddpm-celebahq-256."""
    return bool(re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", source)) and not source.endswith(
        (".pt", ".pth", ".ckpt", ".bin", ".safetensors"))


def cache_folder() -> Path:
    """Where files from URLs are kept: $HSX_CACHE, else hsx in the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hsx"
    return Path(os.environ.get("HSX_CACHE") or default).expanduser()


def from_hub(name: str) -> Path:
    """The folder of a model of the Hub, in the Hub's own cache.  Raises BackboneError if it cannot be had."""
    try:
        return Path(snapshot_download(name, allow_patterns=PATTERNS))
    except Exception as error:  # the Hub's client raises its own, requests' and httpx's
        raise BackboneError(f"{name}: expected a folder here or a model of the Hub, could not get one "
                            f"({first_line(error)}); check the name and the network, or fetch it by hand") from None


def from_url(url: str, sha256: str | None = None) -> Path:
    """The file behind a URL, fetched unless the cache has it.

    Args:
        sha256: what the file's hash must be, in hexadecimal.

    Raises:
        BackboneError: if it cannot be fetched whole, or has another hash.
    """
    name = re.sub(r"[^\w.-]", "_", unquote(Path(urlparse(url).path).name)) or "model"
    path = cache_folder() / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{name}"
    if not path.exists():
        try:
            with atomic(path) as part:
                _download(url, part)
                _check(url, part, sha256)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise BackboneError(f"{url}: expected a file that can be fetched, got an error ({first_line(error)}); "
                                "check the address and the network, or fetch it by hand") from None
    else:
        _check(url, path, sha256)
    return path


def _download(url: str, part: Path) -> None:
    with urllib.request.urlopen(url, timeout=60) as response, part.open("wb") as file, Progress(transient=True) as bar:
        length = response.headers.get("Content-Length")
        task = bar.add_task(f"fetching {url}", total=int(length) if length else None)
        done = 0
        while chunk := response.read(CHUNK):
            done += file.write(chunk)
            bar.update(task, completed=done)
    if length and done != int(length):
        raise OSError(f"the connection ended after {done} of {length} bytes")


def _check(url: str, path: Path, sha256: str | None) -> None:
    if sha256 is None:
        return
    total = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            total.update(chunk)
    if total.hexdigest() != sha256.lower():
        raise BackboneError(f"{url}: expected sha256 {sha256}, got {total.hexdigest()}; correct the option, or take "
                            f"{cache_folder()} away and fetch it again")
