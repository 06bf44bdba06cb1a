"""What the bytes of a file are, and files of the other families, cut or changed."""

import gzip
import json
import pickle

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save, save_file

from .made import (
    EMA,
    RAW,
    bytes_of,
    cut,
    in_tar,
    in_zip,
    jit,
    sd,
    values,
)

# ------------------------------------------------- what writes a file: its name, the bytes, and what comes of it
WRITTEN = {
    "safetensors named .ckpt": ("a.ckpt", lambda p: save_file(sd(RAW), p), RAW),
    "torch's named .safetensors": ("a.safetensors", lambda p: torch.save(sd(RAW), p), RAW),
    "no suffix": ("model_ema", lambda p: torch.save(sd(RAW), p), RAW),
    "accelerate's custom checkpoint": (
        "custom_checkpoint_0.pkl",
        lambda p: torch.save({"shadow_params": values(EMA)}, p),
        "expected tensors with names",
    ),
    "torch's legacy form": ("a.pth.tar", lambda p: torch.save(sd(RAW), p, _use_new_zipfile_serialization=False), RAW),
    "safetensors with several networks": (
        "a.safetensors",
        lambda p: save_file({**sd(RAW, "model."), **sd(EMA, "ema.")}, p),
        EMA,
    ),
    "a cut safetensors file": ("a.safetensors", lambda p: p.write_bytes(save(sd(RAW))[:-9]), "cut short or damaged"),
    "a cut torch file": ("a.pt", lambda p: p.write_bytes(bytes_of(sd(RAW))[:-9]), "zip archive that is cut short"),
    "a cut legacy file": (
        "a.pt",
        lambda p: (torch.save(sd(RAW), p, _use_new_zipfile_serialization=False), p.write_bytes(p.read_bytes()[:9999])),
        "cut short or damaged",
    ),
    "a newer pickle protocol": ("a.pt", lambda p: torch.save(sd(RAW), p, pickle_protocol=4), "pickle protocol 2"),
    "an empty file": ("a.pt", lambda p: p.write_bytes(b""), "got an empty file"),
    "a plain pickle": ("a.pkl", lambda p: p.write_bytes(pickle.dumps({"a": [1]})), "got a plain pickle"),
    "a state dict by pickle.dump": (
        "a.pkl",
        lambda p: p.write_bytes(pickle.dumps(sd(RAW), protocol=2)),
        "got a plain pickle, which may run code and is not opened; save its state_dict alone",
    ),
    "a login page": ("a.pt", lambda p: p.write_text("\n<!DOCTYPE html><html>Sign in"), "got a web page; .*login"),
    "S3's refusal": ("a.pt", lambda p: p.write_text('<?xml version="1.0"?><Error>'), "an XML or HTML text"),
    "a Git LFS pointer": (
        "a.safetensors",
        lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\noid"),
        "a Git LFS pointer.*git lfs pull",
    ),
    "JSON": ("a.pt", lambda p: p.write_text(json.dumps({"a": 1})), "a JSON text"),
    "text": ("a.pt", lambda p: p.write_text("hello"), "a text that begins 'hello'"),
    "a .npz": ("a.npz", lambda p: np.savez(p, a=np.ones(3)), r"NumPy arrays \(.npz\); save them as tensors"),
    "a .npy": ("a.npy", lambda p: np.save(p, np.ones(3)), r"a NumPy array \(.npy\)"),
    "HDF5": ("a.h5", lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n\0\0"), "an HDF5 file"),
    "GGUF": ("a.gguf", lambda p: p.write_bytes(b"GGUF\3\0\0\0"), "a GGUF"),
    "ONNX": ("a.onnx", lambda p: p.write_bytes(b"\x08\x08\x12\x07pytorch\x1a\x05"), "an ONNX graph"),
    "TorchScript": ("a.pt", jit, r"a TorchScript archive.*torch\.jit\.load\(FILE\)"),
    "msgpack": ("a.msgpack", lambda p: p.write_bytes(b"\x84\xa6params\x80"), "a msgpack file"),
    "gzip": ("a.pt.gz", lambda p: p.write_bytes(gzip.compress(b"x")), "a gzip archive; unpack it"),
    "tar": ("a.tar", in_tar, "a tar archive; unpack it"),
    "a zip of a folder": ("a.zip", in_zip, "a zip archive of 1 files, such as model/unet/config.json; unpack it"),
    "TensorFlow": ("a.ckpt.data-00000-of-00001", lambda p: p.write_bytes(bytes(range(200))), "a TensorFlow checkpoint"),
    "a picture": ("a.bin", lambda p: Image.new("RGB", (8, 8)).save(p, "PNG"), "got a picture"),
    "noise": ("a.pt", lambda p: p.write_bytes(bytes(range(150, 250))), "bytes with which none begins"),
}

# ---------------------------------------- golden files of the other families, cut or changed: the words of the refusal
GOLDEN = {
    "ddpm: a first tensor of a level": (
        "ddpm/base",
        lambda s: cut(s, "down.1.block.0.conv1.weight"),
        r"down\.1\.block\.0\.conv1\.weight missing;",
    ),
    "ddpm: a tensor of attention": (
        "ddpm/deep",
        lambda s: cut(s, "mid.attn_1.q.weight"),
        r"mid\.attn_1\.q\.weight missing;",
    ),
    "ddpm: its time embedding": (
        "ddpm/base",
        lambda s: {k: v for k, v in s.items() if "temb.dense" not in k},
        r"temb\.dense\.0\.weight missing",
    ),
    "adm: a first tensor of a level": (
        "adm/base",
        lambda s: cut(s, "input_blocks.1.0.out_layers.3.weight"),
        r"input_blocks\.1\.0\.out_layers\.3\.weight missing;",
    ),
    "adm: a tensor of attention": (
        "adm/base",
        lambda s: cut(s, "middle_block.1.qkv.weight"),
        "middle_block.1.qkv.weight miss",
    ),
    "adm: q, k, v cut": (
        "adm/base",
        lambda s: {**s, "middle_block.1.qkv.bias": s["middle_block.1.qkv.bias"][:-1]},
        r"middle_block\.1\.qkv\.bias of shape",
    ),
    "adm: a time embedding's tensor": (
        "p2/base",
        lambda s: cut(s, "time_embed.0.weight"),
        "time_embed.0.weight missing;",
    ),
    "adm: a classifier": (
        "adm/base",
        lambda s: {
            k.replace("out.2.", "out.2.qkv_proj."): v for k, v in s.items() if not k.startswith("output_blocks.")
        },
        "a classifier or encoder of ADM",
    ),
    "adm: an upsampler": (
        "adm/base",
        lambda s: {**s, "input_blocks.0.0.weight": torch.cat([s["input_blocks.0.0.weight"]] * 2, 1)},
        r"an upsampler \(super-resolution\)",
    ),
    "adm: of latent diffusion": (
        "adm/base",
        lambda s: {f"model.diffusion_model.{k}": v for k, v in s.items()},
        "latent diffusion",
    ),
    "iddpm: its downsampler": (
        "iddpm/plain",
        lambda s: {k: v for k, v in s.items() if ".op." not in k},
        r"input_blocks\.\d\.0\.op\.weight missing",
    ),
    "iddpm: an upsampler": (
        "iddpm/plain",
        lambda s: {**s, "input_blocks.0.0.weight": torch.cat([s["input_blocks.0.0.weight"]] * 2, 1)},
        "an upsampler",
    ),
}
