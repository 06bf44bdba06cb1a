"""What a file is, by its first bytes, whatever its suffix."""

from __future__ import annotations

import re
import zipfile
from codecs import getincrementaldecoder
from pathlib import Path
from typing import Literal

from hsx.errors import BackboneError

FILES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")  # what checkpoints are usually named
LFS_POINTER = b"version https://git-lfs"  # the note that Git LFS leaves in a file's place begins so
MAGIC = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"  # with which torch.save began its files before 1.6
CONVERT = "save its network's state_dict with safetensors or torch.save"
AGAIN = "fetch it again"
UNPACK = "unpack it, and give the file inside"

# The first bytes, what they are the beginning of, and what to do.
BEGINNINGS: tuple[tuple[bytes, str, str], ...] = (
    (LFS_POINTER, "a Git LFS pointer", "fetch the file that it stands for with git lfs pull, or by its download link"),
    (rb"\s*<(!doctype html|html|head)", "a web page", "the link asked for a login or a click: fetch the file itself"),
    (rb"\s*<", "an XML or HTML text, as servers answer with an error", AGAIN),
    (rb"\x93NUMPY", "a NumPy array (.npy)", CONVERT),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras, TensorFlow)", CONVERT),
    (rb"GGUF|GGML|lmgg|tjgg", "a GGUF or GGML file, whose weights are quantised", "give the original checkpoint"),
    (rb"\x08[\x01-\x20](\x12.{1,60}(pytorch|tf2onnx|onnx|keras)|:)", "an ONNX graph", "give its original checkpoint"),
    (rb"\x1f\x8b", "a gzip archive", "unpack it with gunzip or tar -xzf, and give the file inside"),
    (rb"BZh", "a bzip2 archive", UNPACK),
    (rb"\xfd7zXZ", "an xz archive", UNPACK),
    (rb"\x28\xb5\x2f\xfd", "a zstd archive", UNPACK),
    (rb"7z\xbc\xaf|Rar!", "a 7z or RAR archive", UNPACK),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|BM....\0\0\0\0|II\*\0|MM\0\*|RIFF....WEBP", "a picture", "give the checkpoint"),
    (rb"%PDF", "a PDF", "give the checkpoint"),
    (rb"[\x81-\x8f][\xa0-\xbf\xd9]|[\xde\xdf]\0", "a msgpack file (Flax, JAX)", "convert it to PyTorch, " + CONVERT),
    (rb"\s*[\[{]", "a JSON text", "a config or an index of shards holds no weights: give the weights, or the folder"),
    (rb".{257}ustar", "a tar archive", UNPACK + "; if that is of PyTorch 0.1, save it again with a later one"),
)


def kind_of(path: Path) -> Literal["safetensors", "torch", "pickle"]:
    """Which reader a checkpoint file needs: safetensors, torch.save's zip or legacy form, or a plain pickle.

    Raises:
        BackboneError: for a file that is none of these, with what it is and what to do.
    """
    try:
        with path.open("rb") as file:
            head = file.read(512)
            size = file.seek(0, 2)
            file.seek(max(0, size - 8))
            tail = file.read()
    except OSError as error:
        raise BackboneError(f"{path}: expected a readable file, got {error.strerror}; check its rights") from None
    if not size:
        raise BackboneError(f"{path}: expected a checkpoint, got an empty file; {AGAIN}")
    if head.startswith(b"PK"):
        return _zip(path)
    if re.match(rb"[\s\S]{7}\0\s*\{", head):  # the length of the header, then the header: JSON
        return "safetensors"
    if head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return "torch" if MAGIC in head[:32] else "pickle"
    raise _not(path, *_what_is(path, head, tail))


def _zip(path: Path) -> Literal["torch"]:
    """A zip archive must be torch.save's."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise _not(path, "a zip archive that is cut short or damaged", AGAIN) from None
    insides = [name.split("/", 1)[-1] for name in names]
    if "constants.pkl" in insides or any(name.startswith("code/") for name in insides):
        remedy = "save its weights alone: torch.save(torch.jit.load(FILE).state_dict(), NEW)"
        raise _not(path, "a TorchScript archive (torch.jit.save)", remedy)
    if "data.pkl" in insides:
        return "torch"
    if names and all(name.endswith(".npy") for name in names):
        raise _not(path, "NumPy arrays (.npz)", "save them as tensors: a dict of torch.from_numpy, with torch.save")
    if any(name.endswith((".h5", "keras_metadata.pb")) for name in names):
        raise _not(path, "a Keras archive", CONVERT)
    inside = f" of {len(names)} files, such as {names[0]}" if names else " without files"
    raise _not(path, f"a zip archive{inside}", "unpack it, and give the checkpoint or the folder inside")


def _what_is(path: Path, head: bytes, tail: bytes) -> tuple[str, str]:
    """What a file that is no checkpoint is, and the remedy."""
    for beginning, what, remedy in BEGINNINGS:
        if re.match(beginning, head, re.IGNORECASE | re.DOTALL):
            return what, remedy
    if tail == b"\x57\xfb\x80\x8b\x24\x75\x47\xdb" or ".data-0" in path.name:
        return "a TensorFlow checkpoint", "convert it to PyTorch, then " + CONVERT
    try:
        text = getincrementaldecoder("utf-8")().decode(head)  # whose last letter may be cut
    except UnicodeDecodeError:
        text = "\0"
    if not any(ord(letter) < 32 and not letter.isspace() for letter in text):
        text = " ".join(text.split())[:40]
        return f"a text that begins '{text}'" if text else "blanks", "give the checkpoint itself"
    return "bytes with which none begins", "the file is damaged or of another program: " + AGAIN


def _not(path: Path, what: str, remedy: str) -> BackboneError:
    expected = "a checkpoint" if path.suffix in FILES else f"a file ending in {', '.join(FILES)}"
    return BackboneError(f"{path}: expected {expected}, got {what}; {remedy}")
