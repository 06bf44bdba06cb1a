"""Averaged weights in a file, under the names and in the forms that training code uses."""

import torch
from diffusers.training_utils import EMAModel

from .made import EMA, RAW, averaged_model, cut, diffusion, lightning, lit_ema, net, optimizer, sd, values

# A way: what torch.save is given, RAW or EMA and words of the fact ``weights``, or the words of the refusal.
AVERAGED = {
    "a bare state dict": (lambda: sd(RAW), RAW, "the only ones in the file"),
    "an OrderedDict with metadata": (lambda: net(RAW).state_dict(), RAW, "the only ones"),
    "under ema beside model": (
        lambda: {"model": sd(RAW), "ema": sd(EMA), "step": 3},
        EMA,
        r"^ema \(averaged\); also there: model \(raw\)$",
    ),
    **{
        f"under {key}": (lambda key=key: {"state_dict": sd(RAW), key: sd(EMA)}, EMA, rf"^{key} \(averaged\)")
        for key in (
            "ema_state_dict",
            "state_dict_ema",
            "model_ema",
            "ema_model",
            "ema_params",
            "ema_weights",
            "averaged",
            "averaged_model",
            "shadow",
            "params_ema",
            "ModelEMA",
            "unet_ema",
            "swa_state_dict",
            "ema_0.9999",
        )
    },
    "EMA first, raw last": (lambda: {"ema": sd(EMA), "model": sd(RAW)}, EMA, "also there: model"),
    "EMA deep inside": (
        lambda: {"a": {"model": sd(RAW), "b": {"net_ema": {"state_dict": sd(EMA)}}}},
        EMA,
        r"a\.b\.net_ema\.state_dict",
    ),
    "DDPM's five": (lambda: [sd(RAW, "module."), optimizer(), 3, 10, sd(EMA)], EMA, r"\[4\] \(averaged\)"),
    "DDPM's four, without EMA": (lambda: [sd(RAW, "module."), optimizer(), 3, 10], RAW, "the only ones"),
    "DDPM's five as a tuple": (lambda: (sd(RAW), optimizer(), 3, 10, sd(EMA, "module.")), EMA, "averaged"),
    "score_sde": (
        lambda: {
            "optimizer": optimizer(),
            "model": sd(RAW),
            "step": 5,
            "ema": {"decay": 0.999, "num_updates": 5, "shadow_params": values(EMA)},
        },
        EMA,
        r"ema.shadow_params \(averaged, in the order of the parameters\); also there: model",
    ),
    "torch_ema with collected parameters": (
        lambda: {
            "model": sd(RAW),
            "ema": {"decay": 0.9, "num_updates": 5, "shadow_params": values(EMA), "collected_params": values(RAW)},
        },
        EMA,
        "shadow_params",
    ),
    "diffusers' EMAModel": (
        lambda: {"unet": sd(RAW), "ema": EMAModel(net(EMA).parameters()).state_dict()},
        EMA,
        r"ema\.shadow_params",
    ),
    "shadow parameters of a DDP network": (
        lambda: {"model": sd(RAW, "module."), "ema": {"shadow_params": values(EMA)}},
        EMA,
        "in the order",
    ),
    "shadow parameters beside buffers": (
        lambda: {"model": diffusion(), "ema": {"shadow_params": values(EMA)}},
        EMA,
        "order",
    ),
    "a bare EMAModel": (
        lambda: EMAModel(net(EMA).parameters()).state_dict(),
        "expected tensors with names.*shadow_params",
    ),
    "a shadow parameter too few": (
        lambda: {"model": sd(RAW), "ema": {"shadow_params": values(EMA)[:-1]}},
        "ema.shadow_params that fit.*143 tensors for the 144 parameters",
    ),
    "shadow parameters in another order": (
        lambda: {"model": sd(RAW), "ema": {"shadow_params": values(EMA)[::-1]}},
        "as number 0 shape .* of conv_in.weight",
    ),
    "shadow parameters beside sorted names": (
        lambda: {
            "model": dict(sorted(sd(RAW).items())),
            "ema": {"shadow_params": [v for _, v in sorted(sd(EMA).items())]},
        },
        "order of the alphabet",
    ),
    "NeMo's optimizer": (
        lambda: lightning(
            sd(RAW, "net."),
            optimizer_states=[{"opt": optimizer(), "ema": tuple(values(EMA)), "current_step": 3, "decay": 0.99}],
        ),
        EMA,
        r"optimizer_states\.\[0\]\.ema",
    ),
    "Lightning": (lambda: lightning(sd(RAW, "model.")), RAW, r"under state_dict\.model$"),
    "Lightning with two networks, one averaged": (
        lambda: lightning({**sd(RAW, "net."), **sd(EMA, "net_ema.")}),
        EMA,
        r"state_dict\.net_ema \(averaged\); also there: state_dict\.net \(raw\)",
    ),
    "Lightning with a discriminator": (
        lambda: lightning({**sd(RAW, "unet."), "disc.conv.weight": torch.ones(3, 3)}),
        RAW,
        r"also there: state_dict: disc \(no such network\)",
    ),
    "Lightning's WeightAveraging": (
        lambda: lightning(
            sd(EMA, "net."), current_model_state=sd(RAW, "net."), averaging_state={"n_averaged": torch.tensor(4)}
        ),
        EMA,
        r"state_dict\.net \(averaged\); also there: current_model_state\.net \(raw\)",
    ),
    "Lightning's WeightAveraging before it began": (
        lambda: lightning(
            sd(EMA, "net."), current_model_state=sd(RAW, "net."), averaging_state={"n_averaged": torch.tensor(0)}
        ),
        "n_averaged 0: nothing averaged yet",
    ),
    "Lightning's StochasticWeightAveraging": (
        lambda: lightning(
            sd(RAW, "net."),
            callbacks={"StochasticWeightAveraging": {"n_averaged": 2, "average_model_state": sd(EMA, "net.")}},
        ),
        EMA,
        "StochasticWeightAveraging.average_model_state.net",
    ),
    "a callback's EMA": (
        lambda: lightning(
            sd(RAW, "net."),
            callbacks={
                "EMACallback{'decay': 0.99}": {
                    "ema_state_dict": sd(EMA, "net."),
                    "original_state_dict": sd(RAW, "net."),
                }
            },
        ),
        EMA,
        "EMACallback",
    ),
    "torch's AveragedModel": (lambda: averaged_model(EMA), EMA, r"module \(averaged\)"),
    "torch's AveragedModel beside the raw": (
        lambda: {"model": sd(RAW), "swa": averaged_model(EMA)},
        EMA,
        r"swa\.module",
    ),
    "an AveragedModel that never averaged": (
        lambda: {"model": sd(RAW), "ema": averaged_model(EMA, 0)},
        "n_averaged 0: nothing averaged yet",
    ),
    "ema_pytorch": (
        lambda: {
            "model": sd(RAW),
            "ema": {
                **sd(RAW, "online_model."),
                **sd(EMA, "ema_model."),
                "initted": torch.tensor(True),
                "step": torch.tensor(9),
            },
        },
        EMA,
        r"ema\.ema_model \(averaged\)",
    ),
    "CompVis' LitEma": (lambda: lightning(lit_ema(RAW, EMA)), EMA, r"model_ema \(averaged, names without dots\)"),
    "LitEma without one tensor": (
        lambda: lightning(cut(lit_ema(RAW, EMA), "model_ema.unetconv_inbias")),
        "model_ema for every tensor.* none for conv_in.bias",
    ),
    "two averages": (
        lambda: {"model": sd(RAW), "ema_0.999": sd(RAW), "ema_0.9999": sd(EMA)},
        r"got ema_0.999 \(averaged\) and ema_0.9999 \(averaged\), which differ",
    ),
    "two averages that are equal": (lambda: {"model": sd(RAW), "ema": sd(EMA), "ema_copy": sd(EMA)}, EMA, "^ema "),
    "teacher and student": (lambda: {"teacher": sd(RAW), "student": sd(EMA)}, r"teacher \(raw\) and student \(raw\)"),
    "an EMA of another network": (
        lambda: {"model": sd(RAW), "ema": {"a.weight": torch.ones(2, 2)}},
        "averaged weights that fit the network model, got ema.a.weight",
    ),
    "an EMA without one tensor": (
        lambda: {"model": sd(RAW), "ema": cut(sd(EMA), "conv_out.bias")},
        r"conv_out\.bias in model \(raw\) but not in ema",
    ),
    "an empty EMA": (lambda: {"model": sd(RAW), "ema": {}}, RAW, r"model \(raw\); also there: ema \(empty\)"),
    "non-EMA beside EMA": (lambda: {"model_non_ema": sd(RAW), "model_ema": sd(EMA)}, EMA, r"model_non_ema \(raw\)"),
    "what is called unaveraged": (lambda: {"unaveraged": sd(RAW), "averaged": sd(EMA)}, EMA, r"unaveraged \(raw\)"),
    "EMAs by their rates": (lambda: {"model": sd(RAW), "emas": {0.999: sd(EMA)}}, EMA, r"emas\.0\.999 \(averaged\)"),
    "an EMA deep down": (
        lambda: {"model": sd(RAW), **{"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": {"ema": sd(EMA)}}}}}}}}}}},
        EMA,
        r"h\.i\.ema \(averaged\)",
    ),
    "an EMA as one vector": (
        lambda: {"model": sd(RAW), "ema": torch.cat([v.flatten() for v in values(EMA)])},
        "averaged weights that fit the network model, got ema, which",
    ),
    "an EMA as pairs": (lambda: {"model": sd(RAW), "ema": list(sd(EMA).items())}, EMA, r"^ema \(averaged\)"),
    "one dict under two keys": (
        lambda: (lambda best: {"best": best, "model": sd(RAW), "ema": best})(sd(EMA)),
        EMA,
        r"^ema \(averaged\)",
    ),
    "mmengine, which exchanges the two": (
        lambda: {
            "meta": {"mmengine_version": "0.10.1"},
            "state_dict": sd(EMA),
            "ema_state_dict": {**sd(RAW, "module."), "steps": torch.tensor(9)},
        },
        EMA,
        r"^state_dict \(averaged\); also there: ema_state_dict.module \(raw\)",
    ),
    "ema_pytorch inside Lightning before it began": (
        lambda: lightning({**sd(RAW, "net."), **sd(EMA, "ema.ema_model."), "ema.initted": torch.tensor(False)}),
        "initted False: nothing averaged yet",
    ),
    "LitEma before it began": (
        lambda: lightning({**lit_ema(RAW, EMA), "model_ema.num_updates": torch.tensor(0)}),
        "num_updates 0: nothing averaged yet",
    ),
    "an AveragedModel by another name": (
        lambda: lightning({**sd(RAW, "net."), **sd(EMA, "slow.module."), "slow.n_averaged": torch.tensor(3)}),
        EMA,
        r"slow\.module \(averaged\)",
    ),
    "Adam's averages by name": (
        lambda: {"model": sd(RAW), "optimizer": {"exp_avg": sd(EMA), "exp_avg_sq": sd(EMA)}},
        RAW,
        "under model",
    ),
    "Adam's averages in flattened names": (
        lambda: {"model": sd(RAW), "optimizer": {f"state.{k}.exp_avg": v for k, v in sd(EMA).items()}},
        RAW,
        "under model",
    ),
    "averages of losses": (
        lambda: {"model": sd(RAW), "avg_loss": [torch.tensor(0.1), torch.tensor(0.2)]},
        RAW,
        "under model",
    ),
    "no EMA": (lambda: {"model": sd(RAW), "ema": None}, RAW, "under model"),
}
