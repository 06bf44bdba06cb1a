"""Names and shapes of the original networks' state dicts, counted out as their constructors build them.

Written from the originals' architecture, not from hsx's name maps; held to the golden checkpoints by a test.
"""

from __future__ import annotations

Shapes = dict[str, tuple[int, ...]]


def _both(out: Shapes, name: str, *weight: int) -> None:
    out[f"{name}.weight"], out[f"{name}.bias"] = weight, weight[:1]


def ddpm(ch: int, ch_mult, num_res_blocks: int, resolution: int, attn_resolutions, out_ch: int = 3) -> Shapes:
    """ermongroup/ddim's ``Model``."""
    out: Shapes = {}

    def block(name: str, cin: int, cout: int) -> None:
        _both(out, f"{name}.norm1", cin)
        _both(out, f"{name}.conv1", cout, cin, 3, 3)
        _both(out, f"{name}.temb_proj", cout, 4 * ch)
        _both(out, f"{name}.norm2", cout)
        _both(out, f"{name}.conv2", cout, cout, 3, 3)
        if cin != cout:
            _both(out, f"{name}.nin_shortcut", cout, cin, 1, 1)

    def attention(name: str, c: int) -> None:
        _both(out, f"{name}.norm", c)
        for part in ("q", "k", "v", "proj_out"):
            _both(out, f"{name}.{part}", c, c, 1, 1)

    _both(out, "temb.dense.0", 4 * ch, ch)
    _both(out, "temb.dense.1", 4 * ch, 4 * ch)
    _both(out, "conv_in", ch, 3, 3, 3)
    skips, c, r = [ch], ch, resolution
    for i, m in enumerate(ch_mult):
        for j in range(num_res_blocks):
            block(f"down.{i}.block.{j}", c, ch * m)
            c = ch * m
            if r in attn_resolutions:
                attention(f"down.{i}.attn.{j}", c)
            skips.append(c)
        if i != len(ch_mult) - 1:
            _both(out, f"down.{i}.downsample.conv", c, c, 3, 3)
            skips.append(c)
            r //= 2
    block("mid.block_1", c, c)
    attention("mid.attn_1", c)
    block("mid.block_2", c, c)
    for i, m in reversed(list(enumerate(ch_mult))):
        for j in range(num_res_blocks + 1):
            block(f"up.{i}.block.{j}", c + skips.pop(), ch * m)
            c = ch * m
            if r in attn_resolutions:
                attention(f"up.{i}.attn.{j}", c)
        if i:
            _both(out, f"up.{i}.upsample.conv", c, c, 3, 3)
            r *= 2
    _both(out, "norm_out", c)
    _both(out, "conv_out", out_ch, c, 3, 3)
    return out


def openai(
    num_channels: int,
    channel_mult,
    num_res_blocks: int,
    image_size: int,
    attention_resolutions,
    use_scale_shift_norm: bool = True,
    resblock_updown: bool = True,
    learn_sigma: bool = True,
    num_classes: int | None = None,
) -> Shapes:
    """openai/guided-diffusion's and improved-diffusion's ``UNetModel``."""
    out: Shapes = {}
    emb = 4 * num_channels

    def block(name: str, cin: int, cout: int) -> None:
        _both(out, f"{name}.in_layers.0", cin)
        _both(out, f"{name}.in_layers.2", cout, cin, 3, 3)
        _both(out, f"{name}.emb_layers.1", (2 if use_scale_shift_norm else 1) * cout, emb)
        _both(out, f"{name}.out_layers.0", cout)
        _both(out, f"{name}.out_layers.3", cout, cout, 3, 3)
        if cin != cout:
            _both(out, f"{name}.skip_connection", cout, cin, 1, 1)

    def attention(name: str, c: int) -> None:
        _both(out, f"{name}.norm", c)
        _both(out, f"{name}.qkv", 3 * c, c, 1)
        _both(out, f"{name}.proj_out", c, c, 1)

    _both(out, "time_embed.0", emb, num_channels)
    _both(out, "time_embed.2", emb, emb)
    if num_classes:
        out["label_emb.weight"] = (num_classes, emb)
    c = int(channel_mult[0] * num_channels)
    _both(out, "input_blocks.0.0", c, 3, 3, 3)
    skips, r, n = [c], image_size, 1
    for i, m in enumerate(channel_mult):
        for _ in range(num_res_blocks):
            block(f"input_blocks.{n}.0", c, int(m * num_channels))
            c = int(m * num_channels)
            if r in attention_resolutions:
                attention(f"input_blocks.{n}.1", c)
            skips.append(c)
            n += 1
        if i != len(channel_mult) - 1:
            if resblock_updown:
                block(f"input_blocks.{n}.0", c, c)
            else:
                _both(out, f"input_blocks.{n}.0.op", c, c, 3, 3)
            skips.append(c)
            n += 1
            r //= 2
    block("middle_block.0", c, c)
    attention("middle_block.1", c)
    block("middle_block.2", c, c)
    n = 0
    for i, m in reversed(list(enumerate(channel_mult))):
        for j in range(num_res_blocks + 1):
            block(f"output_blocks.{n}.0", c + skips.pop(), int(m * num_channels))
            c = int(m * num_channels)
            if r in attention_resolutions:
                attention(f"output_blocks.{n}.1", c)
            if i and j == num_res_blocks:
                last = f"output_blocks.{n}.{2 if r in attention_resolutions else 1}"
                if resblock_updown:
                    block(last, c, c)
                else:
                    _both(out, f"{last}.conv", c, c, 3, 3)
                r *= 2
            n += 1
    _both(out, "out.0", c)
    _both(out, "out.2", 6 if learn_sigma else 3, c, 3, 3)
    return out
