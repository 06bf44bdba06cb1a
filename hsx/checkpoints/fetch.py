"""Models from elsewhere: a Hub id or an http(s) URL, fetched once into a cache, whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import re
import shutil
import urllib.request
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from huggingface_hub import snapshot_download
from rich.markup import escape
from rich.progress import Progress

from hsx.checkpoints.files.kind import FILES
from hsx.errors import BackboneError, first_line
from hsx.io.files import atomic
from hsx.io.urls import identity, public_url, request_of, without_secrets

CHUNK = 1 << 20
LARGEST = 50 << 30  # bytes; no model that hsx reads has half as many
PATTERNS = ["*.json", "*.safetensors", "*.bin", "*/*.json", "*/*.safetensors", "*/*.bin"]


def is_hub_id(source: str) -> bool:
    """Whether this may be a model of the Hub, such as google/ddpm-celebahq-256."""
    return bool(re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", source)) and not source.endswith(FILES)


def cache_folder() -> Path:
    """Where files from URLs are kept: $HSX_CACHE, else hsx in the user's cache folder.

    Raises:
        BackboneError: where neither is known.
    """
    given, caches = os.environ.get("HSX_CACHE"), os.environ.get("XDG_CACHE_HOME", "")
    folder = given or (os.path.join(caches, "hsx") if os.path.isabs(caches) else "~/.cache/hsx")
    path = os.path.expanduser(folder)  # which leaves ~ where there is no home
    if not given and not os.path.isabs(path) or path.startswith("~"):
        remedy = "set HSX_CACHE to a folder"
        raise BackboneError(f"{folder}: expected a home to keep fetched files in, found none; {remedy}")
    return Path(path)


def from_hub(name: str) -> Path:
    """The folder of a model of the Hub, in the Hub's own cache.  Raises BackboneError if it cannot be had."""
    from huggingface_hub.constants import HF_HUB_CACHE

    cache = cache_folder() / "huggingface" if HF_HUB_CACHE.startswith("~") else None  # there is no home
    try:
        return Path(snapshot_download(name, allow_patterns=PATTERNS, cache_dir=cache))
    except Exception as error:  # the Hub's client raises its own, requests' and httpx's
        wanted, why = "expected a folder here or a model of the Hub", without_secrets(first_line(error))
        raise BackboneError(f"{name}: {wanted}, got none ({why}); check the name and the network") from None


def from_url(url: str, sha256: str | None = None) -> Path:
    """The file behind a URL, fetched unless the cache has it, whatever the signature in the URL.

    Args:
        sha256: what the file's hash must be, in hexadecimal.

    Raises:
        BackboneError: if it cannot be fetched whole, is no checkpoint, or has another hash.
    """
    same = identity(url)
    name = re.sub(r"[^\w.-]", "_", unquote(urlsplit(public_url(same)).path.rpartition("/")[2]))[-100:] or "model"
    path = cache_folder() / f"{hashlib.sha256(same.encode()).hexdigest()[:12]}-{name}"
    try:
        if path.exists():
            _check(url, path, sha256, f"take {path} away to fetch it again")
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        wanted = "expected a folder to keep fetched files in, could not use it"
        raise BackboneError(f"{path.parent}: {wanted} ({error.strerror}); set HSX_CACHE to another") from None
    try:
        with atomic(path) as part:
            _download(url, part)
            _check(url, part, sha256, "correct the address")
    except (OSError, http.client.HTTPException, ValueError) as error:
        wanted, why = "expected a file that can be fetched", without_secrets(first_line(error))
        remedy = "check the address and the network, or fetch it by hand"
        raise BackboneError(f"{public_url(url)}: {wanted}, got an error ({why}); {remedy}") from None
    return path


class _Redirects(urllib.request.HTTPRedirectHandler):
    """To http(s) only, and never from https to http."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        scheme = urlsplit(newurl).scheme.lower()
        if scheme not in ("http", "https") or (req.type == "https" and scheme == "http"):
            raise OSError(f"it leads from {req.type} to {scheme}, which is refused")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """An opener for http and https, and for nothing else, such as file or ftp."""
    of, opener = urllib.request, urllib.request.OpenerDirector()
    own = (of.ProxyHandler(), of.UnknownHandler(), of.HTTPHandler(), of.HTTPSHandler(), of.HTTPDefaultErrorHandler())
    for handler in (*own, _Redirects(), of.HTTPErrorProcessor()):
        opener.add_handler(handler)
    return opener


def _download(url: str, part: Path) -> None:
    address, user = request_of(url)
    request = urllib.request.Request(address, headers={"User-Agent": "hsx"})
    if user:
        request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
    with _opener().open(request, timeout=60) as response, part.open("wb") as file, Progress(transient=True) as bar:
        if response.status != 200:
            raise OSError(f"it answers with HTTP {response.status}, not with a whole file")
        length = response.headers.get("Content-Length")
        room = min(LARGEST, shutil.disk_usage(part.parent).free)
        if length and int(length) > room:
            raise OSError(f"it has {length} bytes, more than the {room} that may be kept in {part.parent}")
        task = bar.add_task(escape(f"fetching {public_url(url)}"), total=int(length) if length else None)
        done = 0
        while chunk := response.read(CHUNK):
            done += file.write(chunk)
            if done > room:
                raise OSError(f"it has more than the {room} bytes that may be kept in {part.parent}")
            bar.update(task, completed=done)
    if length and done != int(length):
        raise OSError(f"the connection ended after {done} of {length} bytes")


def _check(url: str, path: Path, sha256: str | None, remedy: str) -> None:
    """Raise BackboneError for a page of a website, an archive without its end, or a file of another hash."""
    if found := _other_than_checkpoint(path):
        raise BackboneError(f"{public_url(url)}: expected a checkpoint, got {found}; {remedy}, or fetch it by hand")
    if sha256 is not None:
        check_hash(public_url(url), path, sha256, remedy)


def check_hash(name: str, path: Path, sha256: str, remedy: str) -> None:
    """Raises BackboneError, about ``name``, for a file of another hash, or one that cannot be read."""
    total = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                total.update(chunk)
    except OSError as error:
        raise BackboneError(f"{name}: expected a readable file, got {error.strerror}; check its rights") from None
    if total.hexdigest() != sha256.strip().lower():
        found = total.hexdigest()
        raise BackboneError(f"{name}: expected sha256 {sha256}, got {found}; correct the option sha256, or {remedy}")


def _other_than_checkpoint(path: Path) -> str | None:
    """What a file is, unless it may be a checkpoint: an archive, a pickle or safetensors."""
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(b"PK") and not zipfile.is_zipfile(path):
        return "an archive that is cut short"
    if head.startswith((b"PK\x03\x04", b"\x80")) or head[8:9] == b"{" or head[257:262] == b"ustar":
        return None
    text = head.strip().lower()
    if not head:
        return "an empty file"
    if text.startswith(b"<"):
        return "a page of HTML or XML"
    return "JSON" if text.startswith((b"{", b"[")) else "a file that starts otherwise"
