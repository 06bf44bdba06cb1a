"""Networks that hsx cannot use, by the names of their tensors: each is refused as what it is."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hsx.checkpoints.files.contents import State
from hsx.errors import BackboneError

GIVE = "give an unconditional pixel-space diffusion model"
EXPECTED = "expected the weights of a DDPM, iDDPM, ADM or diffusers UNet2DModel network"

LATENT = re.compile(
    r"(.*\.)?((first|cond)_stage_model|(vq_?)?vae|vq_?(gan|model)|auto_?encoder(_kl)?)\.", re.IGNORECASE
)

# What a network is, and the pattern of some of its tensors' names; the first row that fits any name counts.  Those of
# the first table may have a U-Net's names too.
CONDITIONED = {
    "a LoRA, which changes a network and is none": r".*(lora_(A|B|up|down|unet|te)|\.lora\.|hada_w|lokr_w)",
    "a ControlNet or adapter": r"(.*\.)?(control_model|controlnet\w*|input_hint_block|zero_convs|adapter)\.",
    "one part of a sharded network (FSDP)": r".*(_flat_param|flat_param)",
    "quantised weights": r".*(weight\.(absmax|quant_state|quant_map)|weight_scale|qweight|qzeros)",
    "a latent diffusion model (Stable Diffusion, LDM)": LATENT.pattern,
    "a network with cross-attention, conditioned on text or classes (Stable Diffusion)": r".*(transformer_blocks|"
    r"attn2\.|add_k_proj|encoder_hid_proj|add_embedding\.|temp_convs|motion_modules)",
    "an NCSN++ network (score_sde), with Fourier timesteps or own skips": r"(time_proj\.weight|.*\.skip_conv\.)",
}
OTHERS = {
    "an autoencoder (VAE)": r"(encoder|decoder)\.(conv_in|mid(_block)?|down(_blocks)?)\.|post_quant_conv\.|quantize\.",
    "a text or image encoder": r"(.*\.)?(text_model|vision_model|token_embedding|wte|word_embeddings)\b",
    "score_sde's DDPM or NCSN++, whose modules have numbers for names": r"(.*\.)?all_modules\.\d+\.",
    "an EDM network (NVlabs/edm)": r"(model\.)?((enc|dec)\.\d+x\d+_|map_layer0|map_noise)",
    "a k-diffusion network": r"(.*\.)?(u_net|timestep_embed|patch_in|mapping\.blocks)\.",
    "a transformer (DiT, U-ViT)": r"(.*\.)?(x_embedder|pos_embed|adaLN_modulation|(in_)?blocks\.\d+\.attn\.)",
    "lucidrains' Unet (denoising_diffusion_pytorch)": r"(.*\.)?(init_conv|mid_block1|mid_attn|downs\.\d+\.\d+)\.",
    "a GAN's generator": r".*(synthesis\.|mapping\.fc|to_rgb|torgb|conv\.modulation|noises\.noise)",
    "a classifier or encoder of ADM (guided-diffusion)": r"(out\.\d\.positional_embedding|encoder_unet)",
    "a classification network": r"(layer\d\.\d+\.(conv|bn)\d|features\.\d+|classifier\.|head\.)",
}
CHANNELS = {6: "an upsampler (super-resolution)", 4: "a network of latents", 1: "a network of grey pictures"}


def what_is(names: Iterable[str]) -> str | None:
    """What a network with such names is, if it is a known one that hsx cannot use."""
    names = list(names)
    found = _first(CONDITIONED | OTHERS, names)
    starts = {name.partition(".")[0] for name in names}
    if found is None and {"input_blocks", "middle_block", "out"} <= starts and "output_blocks" not in starts:
        return "a classifier or encoder of ADM (guided-diffusion), which has no output_blocks"
    for parts in ("down mid up", "down_blocks mid_block up_blocks", "input_blocks middle_block output_blocks"):
        absent = [part for part in parts.split() if part not in starts]
        if found is None and len(absent) == 1:
            return f"a U-Net without its {absent[0]}"
    return found


def _first(kinds: dict[str, str], names: Iterable[str]) -> str | None:
    return next((what for what, pattern in kinds.items() if any(map(re.compile(pattern).match, names))), None)


def refuse(state: State, path: tuple[str, ...], beside: Iterable[str], recognised: bool) -> None:
    """Raise a BackboneError, without the file's name, for a network that hsx cannot use.

    Args:
        path: the keys and the prefix under which it lies in its file.
        beside: the names of the other tensors in the file.
        recognised: whether a family recognises it; then only what contradicts that is looked for.
    """
    some = ", ".join(list(state)[:3])
    latent = next((name for name in (*beside, *state) if LATENT.match(name)), None)
    beside_it = latent and f"a latent diffusion model, beside it {latent}"
    kind = beside_it or _first(CONDITIONED, state) if recognised else what_is([*state, *beside])
    if kind or not recognised:
        raise BackboneError(f"{EXPECTED}, got {f'{kind}, with ' if kind else ''}tensors such as {some}; {GIVE}")
    if path[-2:] == ("model", "diffusion_model") and any(name.startswith("input_blocks.") for name in state):
        found, remedy = "model.diffusion_model, as latent diffusion names its network", "if it is one of pixels"
    elif "inner_model" in path:
        found, remedy = "inner_model, a wrapper of k-diffusion that may predict anything", "if it predicts eps"
    else:
        found = ""
    if found:
        raise BackboneError(f"{EXPECTED}, got {found}; {remedy}, save its state dict without that prefix")
    for name in ("conv_in.weight", "input_blocks.0.0.weight"):
        value = state.get(name)
        if value is not None and value.ndim == 4 and value.shape[1] != 3:
            found = f"{CHANNELS.get(value.shape[1], 'another network')}: {name} takes {value.shape[1]} channels"
            raise BackboneError(f"{EXPECTED} for pictures of 3 channels, got {found}; {GIVE}")
