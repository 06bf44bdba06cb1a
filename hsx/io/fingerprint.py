"""A hash of everything that changes what a network puts out: its weights, how it is built, and how it is used.

It covers every parameter and buffer, and every attribute of every module, as deep as they go, so that networks of an
unknown kind are told apart too.  What it leaves out is listed here, with the reasons.
"""

from __future__ import annotations

import copyreg
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cached_property, partial
from inspect import getattr_static
from types import BuiltinMethodType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

TABLES = {*vars(nn.Module()), "_is_torch_compile", "_compile_kwargs"}  # torch's own, walked through below
# of a backbone: where it comes from, what hsx convert keeps of that, and, on an instance, the class's methods, counted
OF_A_BACKBONE = {"facts", "family", "scheduler", "encode", "decode"}
OF_A_CONFIG = {"_class_name", "_diffusers_version", "_name_or_path", "_use_default_values"}  # of diffusers
KNOWN = sys.stdlib_module_names | {"torch", "diffusers", "hsx"}  # hashed by name; of others the code is hashed
DATA = (bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset)
VALUES = (*DATA, Enum, Tensor, np.ndarray, np.generic)
CODE = (FunctionType, property, cached_property, staticmethod, classmethod)


def fingerprint(*things: Any) -> str:
    """24 hex digits, the same in every process and on every device, whether a network has run or not."""
    return _digest([_Walk().plain(thing) for thing in things])[:24]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


class _Walk:
    """Visits a network and all that hangs on it; an object met again, as in a cycle, is replaced by its number."""

    def __init__(self) -> None:
        self.met: dict[int, int] = {}
        self.kept: list[Any] = []  # alive, so that no two objects share an id

    def plain(self, value: Any) -> Any:
        """Any value as what json can write, the same in every process."""
        if isinstance(value, (torch.device, torch.Generator)) or value is None:
            return None
        if isinstance(value, (torch.dtype, Enum, complex, bytes)):
            return repr(value)
        if isinstance(value, ModuleType):
            return value.__name__
        if isinstance(value, (bool, int, str)):
            return value
        if isinstance(value, float):
            return value.hex()  # nan and inf too
        if isinstance(value, Tensor):
            return ["tensor", str(value.dtype), list(value.shape), hashlib.sha256(_bytes(value)).hexdigest()]
        if isinstance(value, (np.ndarray, np.generic)):
            if value.dtype.hasobject:
                return self.plain([value.shape, value.tolist()])
            return [str(value.dtype), list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()]
        if isinstance(value, (list, tuple)):
            return [self.plain(one) for one in value]
        if isinstance(value, (set, frozenset)):
            return sorted(map(_digest, map(self.plain, value)))
        if isinstance(value, Mapping):
            items = sorted(value.items(), key=lambda item: str(item[0]))
            return [[self.plain(name), self.plain(one)] for name, one in items if name not in OF_A_CONFIG]
        if isinstance(value, nn.Module) and isinstance(value._modules.get("_orig_mod"), nn.Module):
            return self.plain(value._modules["_orig_mod"])  # compiled, which changes only the last bits
        if id(value) in self.met:
            return ["met", self.met[id(value)]]
        self.met[id(value)] = len(self.met)
        self.kept.append(value)
        return self._thing(value)

    def _thing(self, value: Any) -> Any:
        """A class, a function, a module, or any other object by its class and attributes."""
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, CodeType):
            return [value.co_code.hex(), value.co_names, self.plain(value.co_consts)]
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, CODE):
            inside = (getattr(value, name, None) for name in ("fget", "func", "__func__"))
            return self.plain([one for one in inside if one is not None])
        if isinstance(value, MethodType):
            return self.plain([value.__func__, value.__self__])
        if isinstance(value, partial):
            return self.plain([value.func, value.args, value.keywords])
        if isinstance(value, BuiltinMethodType):
            return [value.__qualname__, self.plain(value.__self__)]
        attributes = {name: self.plain(one) for name, one in sorted(_attributes(value).items())}
        if isinstance(value, nn.Module):
            hooks = [*value._forward_pre_hooks.values(), *value._forward_hooks.values()]
            tables = ({**value._parameters}, {**value._buffers}, {**value._modules})
            attributes["tables"] = [{name: self.plain(one) for name, one in table.items()} for table in tables]
            attributes["hooks"] = self.plain(hooks)
        reduced = None if attributes else self._reduced(value)
        return [getattr(value, "__qualname__", None), self.plain(type(value)), attributes, reduced]

    def _reduced(self, value: Any) -> Any:
        """How pickle would build a value without attributes, such as a slice or a date; None where it cannot."""
        try:
            reduce = copyreg.dispatch_table.get(type(value))
            how = reduce(value) if reduce else value.__reduce_ex__(2)
        except Exception:  # a lock, a file
            return None
        parts = how if isinstance(how, tuple) else ()
        return self.plain([list(one) if isinstance(one, Iterator) else one for one in parts] or how)

    def _class(self, kind: type) -> Any:
        """Its name, and the code where a user may change it."""
        name = f"{kind.__module__}.{kind.__qualname__}"
        if _package(kind) in KNOWN:
            return name
        body = {name: self.plain(value) for name, value in sorted(vars(kind).items()) if _counts(name, value)}
        return [name, body, self.plain(kind.__bases__)]

    def _function(self, function: FunctionType) -> Any:
        name = f"{function.__module__}.{function.__qualname__}"
        if _package(function) in KNOWN and not function.__closure__:
            return name
        code = function.__code__
        cells = [self.plain(cell.cell_contents) for cell in function.__closure__ or () if cell != CellType()]
        used = {name: function.__globals__[name] for name in sorted(_names(code)) if name in function.__globals__}
        around = {name: one for name, one in used.items() if isinstance(one, VALUES) or _follows(one, function)}
        return [name, self.plain([code, function.__defaults__, function.__kwdefaults__, around]), cells]


def _attributes(value: Any) -> dict[str, Any]:
    """What an object holds, without torch's tables of a module and cached properties."""
    slots = {name for base in type(value).__mro__ for name in vars(base).get("__slots__", ()) if name[:2] != "__"}
    held = {**{name: getattr(value, name) for name in slots if hasattr(value, name)}, **getattr(value, "__dict__", {})}
    left_out = {name for name in held if isinstance(getattr_static(type(value), name, None), cached_property)}
    left_out |= TABLES if isinstance(value, nn.Module) else set()
    left_out |= OF_A_BACKBONE if hasattr(type(value), "fingerprint") else set()
    return {name: one for name, one in held.items() if name not in left_out}


def _counts(name: str, value: Any) -> bool:
    """Whether something in a class's body may change what it computes."""
    return isinstance(value, CODE) or isinstance(value, VALUES) and not name.startswith("__")


def _names(code: CodeType) -> set[str]:
    """The names that a function's code looks up, and the code inside it."""
    inside = (_names(one) for one in code.co_consts if isinstance(one, CodeType))
    return set(code.co_names).union(*inside)


def _follows(one: Any, function: FunctionType) -> bool:
    """Whether a global that a function uses is code of the same package, or of one of the user's files."""
    if not isinstance(one, (FunctionType, type)):
        return False
    place = getattr(sys.modules.get(one.__module__), "__file__", None) or ""
    return _package(one) == _package(function) or _package(one) not in KNOWN and "site-packages" not in place


def _package(code: FunctionType | type) -> str:
    """The package that a function or a class belongs to, or its module outside of any."""
    return str(code.__module__).partition(".")[0]


def _bytes(tensor: Tensor) -> Any:
    """A tensor's bytes, without a copy where they are in the CPU's memory."""
    whole = tensor.detach() if tensor.layout == torch.strided else tensor.detach().to_dense()
    flat = whole.cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if len(flat) else b""
