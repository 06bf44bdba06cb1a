"""What a transfer of many pairs takes: evaluations, device hours and storage, from the cost of one evaluation here.

    python benchmarks/plan.py hsx://demo_faces --contents 1000 --styles 1000
    python benchmarks/plan.py random256 --device cuda --batch_size 16

measures the seconds of one evaluation of the network (E and D, one picture) at a batch size, and plans all pairs of so
many contents and styles with it.  ``random256`` stands for the DDPM of CelebA-HQ 256 with random weights, which take no
less time than trained ones.
"""

from __future__ import annotations

import argparse
import time

import torch
from networks import random_network

import hsx
from hsx.errors import reported

PNG = {64: 11.4e3, 256: 130e3}  # bytes of a result, by size


def network(source: str) -> hsx.Backbone:
    """A checkpoint, or the random network."""
    return random_network("DDPM 256") if source == "random256" else hsx.load_backbone(source)


@torch.no_grad()
def seconds(net: hsx.Backbone, batch: int, device: str, repeats: int = 5) -> float:
    """The median time of one evaluation, for one picture of a batch."""
    net = net.to(device)
    x, t = torch.randn(batch, 3, net.sample_size, net.sample_size, device=device), torch.full((batch,), 500)
    taken = []
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        net(x, t)
        if device != "cpu":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - begun)
    return sorted(taken[1:])[repeats // 2] / batch


def main() -> None:
    """Print the plan."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("--contents", type=int, default=1000)
    parser.add_argument("--styles", type=int, default=1000)
    parser.add_argument("--inversion_steps", type=int, default=50)
    parser.add_argument("--generation_steps", type=int, default=50)
    parser.add_argument("--injections", type=int, default=30, help="steps at t >= t_edit that inject")
    parser.add_argument("--calibrated", action="store_true", help="omega above 0: one evaluation more an injection")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch_size", type=int, default=4)
    args = parser.parse_args()
    net = network(args.source)
    each = seconds(net, args.batch_size, args.device)
    pairs, images = args.contents * args.styles, args.contents + args.styles
    inversion = args.inversion_steps - 1
    decoding = net.layout.decode_macs / (net.layout.encode_macs + net.layout.decode_macs)  # an injection runs D twice
    pair = args.generation_steps + args.injections * (decoding + args.calibrated)
    total = images * inversion + pairs * pair
    c, h, w = net.h_shape
    stored = args.contents * (args.inversion_steps - 1) * c * h * w * 2 + images * 3 * net.sample_size**2 * 4
    print(f"one evaluation: {each * 1e3:.2f} ms a picture ({args.device}, batches of {args.batch_size})")
    print(
        f"an inversion is {inversion} evaluations, a pair {pair:.1f}; in all {total:.4g} "
        f"({images * inversion / total:.2%} of them inversions)"
    )
    print(f"{pairs:,} pairs: {total * each / 3600:,.1f} hours on one such device")
    print(f"trajectories {stored / 1e9:.2f} GB, results {pairs * PNG.get(net.sample_size, 130e3) / 1e9:.1f} GB")


if __name__ == "__main__":
    with reported("plan.py"):
        main()
