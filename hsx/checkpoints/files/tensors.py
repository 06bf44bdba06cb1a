"""The tensors of a checkpoint file, however they are wrapped.  Checkpoints are data: nothing in them is run.

``torch.load`` is called here alone, with ``weights_only=True``, and by a torch in which that is safe.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from packaging.version import Version
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.serialization import safe_globals

from hsx.checkpoints.files.beside import diffusion_betas, hints
from hsx.checkpoints.files.choose import Weights, choose
from hsx.checkpoints.files.contents import Recognises, Setting, walk
from hsx.checkpoints.files.kind import kind_of
from hsx.errors import BackboneError

SAFE, CVES = Version("2.10"), "CVE-2025-32434, CVE-2026-24747"  # below it weights_only=True can be made to run code
ALONE = "save its state_dict alone: torch.save(model.state_dict(), NEW)"
NEW_PICKLE = re.compile(r"Unsupported operand (140|141|142|147|148|149|150)")  # pickle protocols 4 and 5

# What settings beside the weights are made of.  A stand-in is made of each: the class itself is not imported or called.
SETTINGS = {
    "omegaconf": "dictconfig.DictConfig listconfig.ListConfig base.ContainerMetadata base.Metadata base.SCMode "
    "nodes.AnyNode nodes.StringNode nodes.IntegerNode nodes.FloatNode nodes.BooleanNode nodes.BytesNode nodes.PathNode "
    "nodes.EnumNode nodes.InterpolationResultNode nodes.ValueNode",
    "numpy": "dtype ndarray bool_ bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64",
    **dict.fromkeys(("numpy.core", "numpy._core"), "multiarray.scalar multiarray._reconstruct numeric._frombuffer"),
    "numpy.dtypes": "BoolDType Int8DType Int16DType Int32DType Int64DType UInt8DType UInt16DType UInt32DType "
    "UInt64DType Float16DType Float32DType Float64DType StrDType ObjectDType",
    **dict.fromkeys(("pathlib", "pathlib._local"), "Path PosixPath WindowsPath PurePosixPath PureWindowsPath"),
    "jsonargparse": "Namespace _namespace.Namespace",
    **dict.fromkeys(  # before Lightning 1.5 a class was a callback's key
        ("pytorch_lightning.callbacks", "lightning.pytorch.callbacks"),
        "model_checkpoint.ModelCheckpoint early_stopping.EarlyStopping lr_monitor.LearningRateMonitor timer.Timer "
        "stochastic_weight_avg.StochasticWeightAveraging",
    ),
    "builtins": "dict list tuple int float str bool object slice range frozenset",
    "datetime": "datetime date time timedelta timezone",
}
SETTINGS |= {"argparse": "Namespace", "types": "SimpleNamespace", "typing": "Any", "uuid": "UUID"}
MAPPINGS = {"collections": "defaultdict", "easydict": "EasyDict", "yacs.config": "CfgNode", "addict.addict": "Dict"}
MAPPINGS |= {"ml_collections.config_dict.config_dict": "ConfigDict", "lightning.fabric.utilities.data": "AttributeDict"}
MAPPINGS |= {f"{name}.utilities.parsing": "AttributeDict" for name in ("lightning.pytorch", "pytorch_lightning")}
MAPPINGS |= {"lightning_fabric.utilities.data": "AttributeDict"}


class _Mapping:
    """Stands for a kind of dict: one without its behaviour."""

    def __new__(cls, *_: Any) -> Any:
        return OrderedDict()


STAND_INS: list[Any] = [
    (stand_in, f"{module}.{name}")
    for stand_in, table in ((Setting, SETTINGS), (_Mapping, MAPPINGS))
    for module, names in table.items()
    for name in names.split()
]


def read_tensors(path: Path, recognises: Recognises | None = None) -> Weights:
    """The weights, in float32, of a file of any suffix: safetensors, or what ``torch.save`` wrote, by its first bytes.

    Whatever holds them is unwrapped, and averaged weights (EMA, SWA) are preferred, see ``choose.py``.

    Args:
        recognises: whether a state dict is of the network that is looked for, where a file holds several;
            without it the file must hold one state dict alone.

    Raises:
        BackboneError: for a file that is no checkpoint, is broken, would run code, holds no state dict or several of
            equal rank, and for weights that are not finite, not real numbers, or not there.
    """
    loaded = _loaded(path)
    try:
        found = walk(loaded)
        if not any(f.tensors for f in found):
            raise BackboneError(f"expected a state dict of tensors, got {_instead(loaded)}; {ALONE}")
        taken = choose(found, recognises)
        betas = diffusion_betas(found)
    except BackboneError as error:
        raise BackboneError(f"{path}: {error}") from None
    state = {name: _real(path, name, value) for name, value in taken.state.items()}
    return taken._replace(state=state, betas=betas, hints=tuple(hints(loaded)))


def _instead(loaded: Any) -> str:
    keys = set(map(str, loaded)) if isinstance(loaded, dict) else set()
    if {"state", "param_groups"} <= keys or keys & {"optimizer_state_dict", "optimizer"}:
        return "the state of an optimizer"
    if isinstance(loaded, dict) and any(isinstance(value, Setting) for value in loaded.values()):
        return "a dict of NumPy arrays or other things that are no tensors"
    return f"{type(loaded).__name__} without one"


def _loaded(path: Path) -> Any:
    """What the file holds, read by what its first bytes say it is."""
    kind = kind_of(path)
    try:
        if kind == "safetensors":
            return load_file(path)
        if Version(torch.__version__) < SAFE:
            raise BackboneError(
                f"{path}: expected torch 2.10 or later to read a pickle safely ({CVES}), got {torch.__version__}; "
                "upgrade torch, or convert the file to safetensors elsewhere"
            )
        with safe_globals(STAND_INS), warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")  # torch's, of how a file was written
            return torch.load(file, "cpu", weights_only=True)  # of a path it would go by the suffix
    except BackboneError:
        raise
    except Exception as error:  # torch's unpickler raises nearly anything on bytes that are no checkpoint
        raise BackboneError(f"{path}: expected {_why_unread(kind, error)}") from None


def _why_unread(kind: str, error: Exception) -> str:
    """What was expected and got, and the remedy, of a file of this kind whose reader raised an error."""
    if isinstance(error, SafetensorError):
        return "a whole safetensors file, got another: it is cut short or damaged; fetch it again"
    if isinstance(error, MemoryError):
        return "a checkpoint that fits into memory, got one that does not; save its weights alone"
    blocked = re.search(r"GLOBAL (\S+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
    name = blocked[1] if blocked else ""
    if "torch.distributed.tensor" in str(error):
        name = name or "torch.distributed.tensor.DTensor"
    if name and not (kind == "pickle" and name.startswith("torch.")):  # which a state dict by pickle.dump names
        return f"a checkpoint of tensors alone, got one that is broken or would run code (it names {name}); {ALONE}"
    if kind == "pickle":
        return f"a checkpoint, got a plain pickle, which may run code and is not opened; {ALONE}"
    if NEW_PICKLE.search(str(error)):
        return "pickle protocol 2, got a later one, which is not read safely; save it again without pickle_protocol"
    return "a whole checkpoint, got one of torch.save that is cut short or damaged; fetch it again"


def _real(path: Path, name: str, value: Tensor) -> Tensor:
    """The tensor as dense float32; every number must be one."""
    what = str(value.dtype).removeprefix("torch.")
    if value.is_meta:
        what = "no values (a tensor on the device meta)"
    elif not value.numel():
        found = f"{name} without a number, of shape {tuple(value.shape)}"
        raise BackboneError(f"{path}: expected whole weights, got {found}; gather those of DeepSpeed ZeRO 3 or FSDP")
    elif value.layout != torch.strided or value.is_nested:
        what = f"a tensor that is not dense ({str(value.layout).removeprefix('torch.')})"
    elif value.is_floating_point() and not value.is_quantized:
        real = value.float()
        if torch.isfinite(real).all():
            return real
        raise BackboneError(f"{path}: expected finite weights, got {name} with others; fetch or save it again")
    raise BackboneError(f"{path}: expected weights in floating point, got {name} as {what}; save the model unquantised")
