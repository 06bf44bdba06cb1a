"""A hash of everything that changes what a network puts out: its weights, how it is built, and how it is used.

Nothing is listed by name, so that a network nobody foresaw is told apart by default: the hash takes in every parameter
and buffer, and every attribute of every module, as deep as they go.  What is left out is listed here, each with its
reason.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from enum import Enum
from functools import cached_property, partial
from types import CodeType, FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn

LEFT_OUT = frozenset(vars(nn.Module())) | {  # torch's own tables, walked through below; all is in evaluation
    "facts", "family", "scheduler",  # where a backbone comes from, not what it computes
    "encode", "decode",  # on an instance: the class's own, counted
}
KNOWN = ("torch.", "diffusers.", "hsx.", "builtins.", "abc.", "typing.")  # told by name; the code of others is hashed


def fingerprint(network: nn.Module, *more: Any) -> str:
    """24 hex digits, the same in every process and on every device, whether the network has run or not.

    Args:
        more: plain values beside the network.
    """
    return _digest([_Walk().plain(network), _Walk().plain(more)])[:24]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


class _Walk:
    """Through a network and all that hangs on it; an object that was met before, as in a circle, goes by its number."""

    def __init__(self) -> None:
        self.met: dict[int, int] = {}
        self.kept: list[Any] = []  # so that no number is given to two objects

    def plain(self, value: Any) -> Any:
        """Any value as what json can write, the same in every process."""
        if isinstance(value, (torch.device, torch.Generator)) or value is None:
            return None
        if isinstance(value, (torch.dtype, Enum, complex, bytes)):
            return repr(value)
        if isinstance(value, (bool, int, str)):
            return value
        if isinstance(value, float):
            return value.hex()  # nan and inf too
        if isinstance(value, Tensor):
            return ["tensor", str(value.dtype), list(value.shape), hashlib.sha256(_bytes(value)).hexdigest()]
        if hasattr(value, "tobytes") and hasattr(value, "dtype"):  # numpy's
            return [str(value.dtype), list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()]
        if isinstance(value, (list, tuple)):
            return [self.plain(one) for one in value]
        if isinstance(value, (set, frozenset)):
            return sorted(map(_digest, map(self.plain, value)))
        if isinstance(value, Mapping):  # underscores in a diffusers config: its path and version
            return {str(name): self.plain(one) for name, one in value.items() if not str(name).startswith("_")}
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
        if isinstance(value, (property, cached_property, staticmethod, classmethod)):
            inside = (getattr(value, name, None) for name in ("fget", "func", "__func__"))
            return self.plain([one for one in inside if one is not None])
        if isinstance(value, MethodType):
            return self.plain([value.__func__, value.__self__])
        if isinstance(value, partial):
            return self.plain([value.func, value.args, value.keywords])
        if isinstance(value, FunctionType):
            return self._function(value)
        attributes = {name: self.plain(one) for name, one in sorted(_attributes(value).items())}
        if isinstance(value, nn.Module):
            hooks = [*value._forward_pre_hooks.values(), *value._forward_hooks.values()]
            tables = ({**value._parameters}, {**value._buffers}, {**value._modules})
            attributes["tables"] = [{name: self.plain(one) for name, one in table.items()} for table in tables]
            attributes["hooks"] = self.plain(hooks)
        return [getattr(value, "__qualname__", None), self.plain(type(value)), attributes]

    def _class(self, kind: type) -> Any:
        """By its name; one whose code a user may change, with that."""
        name = f"{kind.__module__}.{kind.__qualname__}"
        if name.startswith(KNOWN):
            return name
        body = {name: self.plain(value) for name, value in sorted(vars(kind).items()) if _counts(name, value)}
        return [name, body, self.plain(kind.__bases__)]

    def _function(self, function: FunctionType) -> Any:
        name = f"{function.__module__}.{function.__qualname__}"
        if name.startswith(KNOWN) and not function.__closure__:
            return name
        around = inspect.getclosurevars(function).nonlocals
        return [name, self.plain([function.__code__, function.__defaults__, function.__kwdefaults__, around])]


def _attributes(value: Any) -> dict[str, Any]:
    """What an object holds, but for what torch keeps of a module and what is computed once and remembered."""
    slots = {name for base in type(value).__mro__ for name in vars(base).get("__slots__", ())
             if not name.startswith("__")}
    held = {**{name: getattr(value, name) for name in slots if hasattr(value, name)}, **getattr(value, "__dict__", {})}
    left_out = LEFT_OUT if isinstance(value, nn.Module) else frozenset()
    return {name: one for name, one in held.items() if name not in left_out
            and not isinstance(inspect.getattr_static(type(value), name, None), cached_property)}


def _counts(name: str, value: Any) -> bool:
    """Whether something in a class's body may change what it computes."""
    code = (FunctionType, property, cached_property, staticmethod, classmethod)
    values = (bool, int, float, str, list, tuple, dict, Tensor)
    return isinstance(value, code) or isinstance(value, values) and not name.startswith("__")


def _bytes(tensor: Tensor) -> Any:
    """A tensor's bytes where they lie, if that is in the CPU's memory."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if len(flat) else b""
