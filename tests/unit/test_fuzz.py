"""Broken checkpoints: 300 mutations, none of which may end in a traceback or in a network that is silently wrong."""

import random

import pytest
import torch

import hsx

from ..golden import FOLDER
from .test_families import options

NAMES = [
    "ddpm/base",
    "ddpm/deep",
    "iddpm/plain",
    "iddpm/scale_shift",
    "adm/base",
    "adm/class_cond",
    "adm/new_attention_order",
    "adm/no_resblock_updown",
    "p2/base",
]
KINDS = ["drop", "rename", "reshape", "truncate", "nan", "extra"]


def mutate(name, kind, rng, path):
    """A broken copy of a golden checkpoint at ``path``, and what was done to it."""
    file = FOLDER / f"{name}.pt"
    if kind == "truncate":
        data = file.read_bytes()
        path.write_bytes(data[: rng.randrange(len(data))])
        return "truncated"
    state = torch.load(file, weights_only=True)
    # a class-conditional file without its table of classes *is* an unconditional one: nothing can tell
    key = rng.choice([k for k in state if k != "label_emb.weight"])
    if kind == "drop":
        del state[key]
    elif kind == "rename":
        parts = key.split(".")
        i = rng.randrange(len(parts))
        parts[i] = str(int(parts[i]) + 7) if parts[i].isdigit() else parts[i] + "x"
        state[".".join(parts)] = state.pop(key)
    elif kind == "reshape":
        value = state[key]
        state[key] = rng.choice([value[:-1], torch.cat([value, value[-1:]]), value[None], value.flatten()[:-1]])
    elif kind == "nan":
        state[key].view(-1)[rng.randrange(state[key].numel())] = rng.choice([float("nan"), float("inf")])
    else:
        state[f"{key}.more"] = torch.zeros(2)
    torch.save(state, path)
    return f"{kind} {key}"


@pytest.mark.parametrize("part", range(10))
def test_mutated_checkpoints_are_refused_in_one_line(part, tmp_path):
    rng = random.Random(part)
    for i in range(30):
        name, kind = rng.choice(NAMES), KINDS[i % len(KINDS)]
        done = mutate(name, kind, rng, tmp_path / "a.pt")
        try:
            hsx.load_backbone(tmp_path / "a.pt", **options(name))
        except hsx.BackboneError as error:
            text = str(error)
            assert "\n" not in text and "a.pt: expected " in text and "; " in text, (name, done, text)
        else:
            pytest.fail(f"{name} loaded after {done}")
