"""Trajectories on disk: every distinct picture is inverted once, by whichever run or process."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save

from hsx.errors import HsxError, first_line
from hsx.io.files import PART_AGE, atomic
from hsx.store.fingerprints import FORMAT, VERSION, trajectory_key

if TYPE_CHECKING:
    from torch import Tensor

Dtype = Literal["float16", "float32"]
NO_SITES = ("x_T", "timesteps")  # the other arrays of a file
NAME = re.compile(r"[0-9a-f]{24}\.safetensors")


class StoreError(HsxError):
    """A trajectory that is gone or corrupt, and why.  Only its own pairs fail."""


class VersionError(StoreError):
    """A trajectory of another version of hsx, which this one does not use."""


@dataclass(frozen=True)
class Entry:
    """One trajectory in a store.

    Attributes:
        key: its name, see ``Store.key``.
        path: its file.
        bytes: the file's size.
        used: when it was last used, in seconds since the epoch.
    """

    key: str
    path: Path
    bytes: int
    used: float

    @property
    def sites(self) -> list[str]:
        """The sites whose features it has, by the file's header alone."""
        return [name for name in _header(self.path)[0] if name not in NO_SITES]

    @property
    def version(self) -> str | None:
        """The version of its format, by the file's header alone; None where it has none."""
        return _header(self.path)[1].get(FORMAT)


class Store:
    """A folder of trajectories, one safetensors file a picture, shared by runs and processes.

    Args:
        path: the folder, made when first written.
        dtype: what features are kept in, float16 or float32.
        max_gb: gigabytes (10^9 bytes) that may stay after a run, those used last; all by default.
    """

    def __init__(self, path: str | Path, dtype: Dtype = "float16", max_gb: float | None = None) -> None:
        if max_gb is not None and not max_gb > 0:
            raise HsxError(f"max_gb: expected a number of gigabytes above 0, got {max_gb:g}; name a larger one")
        self.path, self.dtype, self.max_gb = Path(path).expanduser(), dtype, max_gb
        self.corrupt: list[str] = []  # the keys of what was found corrupt and removed

    def key(self, pixels: str, inversion: dict[str, Any]) -> str:
        """The name of a trajectory: a hash of its pixels' digest, its inversion's settings and the features' dtype."""
        return trajectory_key(pixels, inversion, self.dtype)

    def put(
        self,
        key: str,
        x_T: Tensor,
        features: Mapping[str, Tensor],
        timesteps: Sequence[int],
        how: dict[str, Any] | None = None,
    ) -> None:
        """Keep a trajectory, whole or not at all; one that is there stays, unless there are new features.

        Args:
            x_T: (3, R, R), kept in float32.
            features: by site, each (S, c, r, r), kept in ``dtype``, or in float32 where a value is beyond it; none for
                a style.  Those of other sites that are there stay if they are of the same inversion, to the last bit.
            timesteps: the S timesteps of the features.
            how: what decides the last bits: ``rows``, the pictures that were in the network at once, ``threads`` on a
                CPU, and the ``device``.

        Raises:
            HsxError: where it cannot be written.
        """
        if not features and self.has(key, ()):
            return
        path = self._file(key)
        arrays = {"x_T": _array(x_T.float()), "timesteps": np.array(timesteps, np.int64)}
        with suppress(OSError, StoreError):
            there = read(path)
            if all(np.array_equal(there[name], arrays[name]) for name in NO_SITES):
                arrays = there
        for site, feature in features.items():
            kept = feature.half() if self.dtype == "float16" else feature.float()
            arrays[site] = _array(kept if kept.isfinite().all() else feature.float())
        about = {FORMAT: VERSION, "how": json.dumps(how or {}, sort_keys=True)}
        data = save(arrays, {**about, "checksum": _checksum(arrays, about)})
        try:
            with atomic(path) as part:
                part.write_bytes(data)
        except OSError as error:
            remedy = "free some space or name another with --store.path, then start again to go on"
            raise HsxError(f"store: expected to write {path}, could not ({error.strerror}); {remedy}") from None

    def has(self, key: str, sites: Collection[str]) -> bool:
        """Whether a whole trajectory with these sites is there; it then counts as used.  A corrupt one is removed."""
        path = self._file(key)
        try:
            arrays = read(path)
        except (OSError, VersionError):
            return False
        except StoreError:
            self.corrupt.append(key)
            with suppress(OSError):
                path.unlink()
            return False
        complete = arrays.keys() >= set(sites)
        if complete:
            _touch(path)
        return complete

    def sites(self, key: str) -> list[str]:
        """The sites whose features a trajectory has, by its file's header alone; none where it is not there."""
        return Entry(key, self._file(key), 0, 0).sites

    def get(self, key: str, sites: Collection[str]) -> dict[str, Tensor]:
        """A trajectory's x_T (3, R, R), timesteps (S,) and, at each of these sites, (S, c, r, r) as kept; it is used.

        Raises:
            StoreError: with the reason, where it is gone, corrupt or without one of the sites.
        """
        path = self._file(key)
        try:
            arrays = read(path)
        except OSError as error:
            why = f"expected a trajectory, could not read it ({error.strerror})"
            raise StoreError(f"{path}: {why}; start again to make it anew") from None
        if lacking := [site for site in sites if site not in arrays]:
            raise StoreError(
                f"{path}: expected a trajectory with {lacking[0]}, got one without; start again to make it anew"
            )
        _touch(path)
        import torch  # not needed to list or to check a store

        return {name: torch.from_numpy(arrays[name]) for name in (*NO_SITES, *sites)}

    def how(self, key: str) -> dict[str, Any]:
        """How a trajectory was computed, as given to ``put``; empty where that is not known."""
        try:
            return dict(json.loads(_header(self._file(key))[1].get("how", "{}")))
        except (ValueError, TypeError):
            return {}

    def evict(self) -> tuple[int, int]:
        """Remove what this version of hsx does not use, then what was used longest ago, down to ``max_gb``.

        Returns:
            How many trajectories were removed, and their bytes.
        """
        if self.max_gb is None:
            return 0, 0
        entries = sorted(self.entries(), key=lambda entry: (entry.version == VERSION, entry.used))
        excess = sum(entry.bytes for entry in entries) - self.max_gb * 1e9
        removed = []
        for entry in entries:
            if excess > 0:
                excess -= entry.bytes
                if remove(entry.path):
                    removed.append(entry.bytes)
        return len(removed), sum(removed)

    def entries(self) -> Iterator[Entry]:
        """All trajectories, corrupt or not; other files are left out."""
        for path in sorted(self.path.glob("??/*.safetensors")):
            if NAME.fullmatch(path.name) and path.name[:2] == path.parent.name:
                with suppress(FileNotFoundError):  # just removed by another process
                    about = path.stat()
                    yield Entry(path.stem, path, about.st_size, about.st_mtime)

    def sweep(self) -> int:
        """Remove the .part files that killed writers left, older than an hour; returns how many there were."""
        old = 0
        for path in self.path.glob("[0-9a-f][0-9a-f]/.*.part"):
            with suppress(OSError):  # just removed, or another user's
                if path.stat().st_mtime < time.time() - PART_AGE:
                    path.unlink()
                    old += 1
        return old

    def _file(self, key: str) -> Path:
        return self.path / key[:2] / f"{key}.safetensors"


def read(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a trajectory's file, checked.

    Raises:
        OSError: where it cannot be read.
        VersionError: where it is whole but of another version.
        StoreError: where it is corrupt, or another file.
    """
    data = path.read_bytes()
    try:
        arrays = load(data)
        about = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {})
    except (SafetensorError, ValueError, KeyError) as error:  # KeyError: of a dtype that numpy does not have
        reason = first_line(error)
    else:
        if about.get("checksum") == _checksum(arrays, about):
            if about.get(FORMAT) == VERSION:
                return arrays
            found = f"got a whole one of version {about.get(FORMAT)}, which this hsx does not use"
            remedy = "hsx store prune removes such first"
            raise VersionError(f"{path}: expected a trajectory of version {VERSION}, {found}; {remedy}")
        reason = "its checksum is wrong" if FORMAT in about else "it is another safetensors file"
    raise StoreError(f"{path}: expected a whole trajectory, got a corrupt one ({reason}); start again to make it anew")


def remove(path: Path) -> bool:
    """Remove a file; whether it was still there.  Raises HsxError where that is not allowed."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        why = f"expected to remove {path}, could not ({error.strerror})"
        raise HsxError(f"store: {why}; check its permissions") from None
    return True


def _touch(path: Path) -> None:
    """Mark a file as used now; another user's, or one just removed, stays as it is."""
    with suppress(OSError):
        os.utime(path)


def _header(path: Path) -> tuple[list[str], dict[str, str]]:
    """The names of a file's arrays and its metadata; empty where it cannot be read."""
    try:
        with safe_open(path, "np") as file:
            return list(file.keys()), file.metadata() or {}
    except (OSError, SafetensorError):
        return [], {}


def _array(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().cpu().numpy())


def _checksum(arrays: dict[str, np.ndarray], about: dict[str, str]) -> str:
    """A hash of the arrays' names, dtypes, shapes and bytes, and of the metadata."""
    total = hashlib.blake2b(digest_size=16)
    if about.get(FORMAT) != "1":  # which hashed the tensors alone
        total.update(f"{about.get(FORMAT)} {about.get('how')} ".encode())
    for name, array in sorted(arrays.items()):
        total.update(f"{name} torch.{array.dtype} {array.shape} ".encode())
        total.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return total.hexdigest()
