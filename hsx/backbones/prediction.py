"""What a network may predict: the names of it, and the eps that follows.  Another one is added here."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor

from hsx.errors import BackboneError
from hsx.schedule import onto

Prediction = Literal["epsilon", "v_prediction", "sample"]  # diffusers' names
PREDICTIONS: tuple[str, ...] = get_args(Prediction)
ELSEWHERE = {"eps": "epsilon", "noise": "epsilon", "pred_noise": "epsilon"}  # the names in other training code
ELSEWHERE |= {"v": "v_prediction", "pred_v": "v_prediction", "x0": "sample", "pred_x0": "sample"}


def check_prediction(option: str, value: object) -> str:
    """One of PREDICTIONS as it is.  Raises BackboneError, naming ``option``, for another."""
    if not isinstance(value, str) or value not in PREDICTIONS:
        expected = " or ".join(", ".join(PREDICTIONS).rsplit(", ", 1))
        raise BackboneError(f"{option}: expected {expected}, got {value}; use a model that predicts one of them")
    return value


def to_eps(predicted: Tensor, x: Tensor, a: Tensor, prediction: str) -> Tensor:
    """The noise eps, (B, 3, R, R), of what a network predicts for ``x`` at alpha-bar ``a`` (B, 1, 1, 1), float64.

    v = sqrt(a) eps - sqrt(1 - a) x_0 (Salimans and Ho 2022); sample is x_0 itself.
    """
    if prediction == "v_prediction":
        return onto(a.sqrt(), x) * predicted + onto((1 - a).sqrt(), x) * x
    if prediction == "sample":
        return (x - onto(a.sqrt(), x) * predicted) / onto((1 - a).sqrt(), x)
    if prediction == "epsilon":
        return predicted
    raise BackboneError(f"expected a prediction that has its eps here, got {prediction}; add it to to_eps")


def predict_x0(x: Tensor, eps: Tensor, a: Tensor) -> Tensor:
    """P(x, eps) = (x - sqrt(1 - a) eps) / sqrt(a), the predicted clean picture."""
    return (x - onto((1 - a).sqrt(), x) * eps) / onto(a.sqrt(), x)
