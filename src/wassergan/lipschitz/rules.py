"""The Lipschitz constant of each kind of layer for any input, or the reason why it has none."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from wassergan.errors import UserError
from wassergan.lipschitz.activations import GroupSort, MaxMin
from wassergan.lipschitz.convolution import layer_bound
from wassergan.lipschitz.pooling import maximum_bound, mean_bound
from wassergan.lipschitz.soundness import weight_of

_EPS, _LEAST = 2.0**-52, 5e-324
Rule = Callable[[Any, str, float], tuple[float, str]]


def _filled(layer: Any, called: str) -> Tensor:
    weight = weight_of(layer, called)
    if not weight.numel():
        raise UserError("an empty layer has no bound", found=f"weights of shape {tuple(weight.shape)}")
    return weight


def _linear(layer: Any, called: str, eps: float) -> tuple[float, str]:
    weight = _filled(layer, called)
    if weight.dim() != 2:
        raise UserError("the weights are no matrix", found=f"shape {tuple(weight.shape)}")
    how = "largest singular value in float64"
    largest = weight.abs().max().item()
    if largest == 0:
        return 0.0, how
    scale = 2.0 ** min(max(math.frexp(largest)[1], -1000), 1000)
    sigma = torch.linalg.svdvals(weight / scale)[0].item()
    # Near the largest numbers, the slack is lost in rounding.
    return sigma * (1 + max(1e-12, 16 * sum(weight.shape) * _EPS)) * scale + _LEAST, how


def _convolution(layer: Any, called: str, eps: float) -> tuple[float, str]:
    weight = _filled(layer, called)
    how = "Gram or Fourier bound on every grid"
    return layer_bound(layer, weight), how + (
        "" if layer.padding_mode == "zeros" else ", times what the padding repeats"
    )


def _batch_norm(layer: Any, called: str, eps: float) -> tuple[float, str]:
    if layer.training or layer.running_mean is None or layer.running_var is None:
        raise UserError("batch statistics join the samples", hint="certify critic.eval() with running statistics")
    widest = layer.running_var.detach().cpu().double() + layer.eps
    if not widest.numel():
        raise UserError("an empty layer has no bound", found="no features")
    if not (widest > 0).all():
        raise UserError("a variance that is not positive has no bound", found=f"{widest.min().item():g}")
    factors = widest.rsqrt()
    if layer.weight is not None:
        factors = factors * weight_of(layer, called).abs()
    return factors.max().item() * (1 + 8 * _EPS), "largest factor of the running statistics"


def _dropout(layer: Any, called: str, eps: float) -> tuple[float, str]:
    if layer.training and layer.p > 0:
        raise UserError("dropout draws at every pass", hint="certify critic.eval()")
    return 1.0, "keeps its input in evaluation mode"


def _reshaping(layer: Any, called: str, eps: float) -> tuple[float, str]:
    first = layer.start_dim if isinstance(layer, nn.Flatten) else layer.dim
    if isinstance(first, bool) or not isinstance(first, int) or first < 1:
        raise UserError("an axis counted from the end, or the axis of samples, has no bound", found=f"axis {first!r}")
    return 1.0, "keeps its input"


def _softplus(layer: Any, called: str, eps: float) -> tuple[float, str]:
    """Beyond the threshold, torch uses the identity: a jump of log(1 + e^-t) / β, sound only below half a rounding."""
    threshold = float(layer.threshold)
    if layer.beta == 0 or not math.isfinite(layer.beta) or math.isnan(threshold) or threshold <= 0:
        raise UserError("this Softplus has no bound", found=f"beta={layer.beta}, threshold={layer.threshold}")
    if math.isfinite(threshold) and math.log1p(math.exp(-threshold)) > eps * threshold / 4:
        raise UserError("Softplus jumps at its threshold", found=f"{threshold:g}", hint="use nn.Softplus(threshold=40)")
    return 1.0, "largest slope of the activation"


def _prelu(layer: Any, called: str, eps: float) -> tuple[float, str]:
    return max(1.0, _filled(layer, called).abs().max().item()), "largest slope of the activation"


def _rrelu(layer: Any, called: str, eps: float) -> tuple[float, str]:
    if layer.training:
        raise UserError("random slopes are drawn at every pass", hint="certify critic.eval()")
    return _steepest(1.0, (layer.lower + layer.upper) / 2)


def _celu(layer: Any, called: str, eps: float) -> tuple[float, str]:
    if not layer.alpha > 0:
        raise UserError("CELU needs a positive alpha to have a bound", found=f"{layer.alpha}")
    return _steepest(1.0, 1.0)


def _steepest(*slopes: float) -> tuple[float, str]:
    largest = max(abs(slope) for slope in slopes) if not any(math.isnan(slope) for slope in slopes) else math.nan
    return largest * (1 + _EPS) if largest != 1 else 1.0, "largest slope of the activation"


def _slope(constant: float) -> Rule:
    return lambda layer, called, eps: (constant, "largest slope of the activation")


def _same(how: str) -> Rule:
    return lambda layer, called, eps: (1.0, how)


def _max_pooling(axes: int) -> Rule:
    return lambda layer, called, eps: (_up(maximum_bound(layer, axes)), "windows that share a point")


def _mean_pooling(axes: int) -> Rule:
    return lambda layer, called, eps: (_up(mean_bound(layer, axes)), "means over windows")


def _one_mean(layer: Any, called: str, eps: float) -> tuple[float, str]:
    sizes = layer.output_size if isinstance(layer.output_size, tuple | list) else (layer.output_size,)
    if any(size != 1 for size in sizes):
        raise UserError("adaptive pooling has a bound only to one number", found=f"output_size={layer.output_size}")
    return 1.0, "the mean of a map"


def _up(bound: float) -> float:
    return bound * (1 + 4 * _EPS)


# The largest derivative of SiLU is 1.09984 (at 2.3994), that of GELU 1.12890 (at √2; by tanh 1.12899), of Mish 1.08850,
# of SELU 1.75810 (left of 0). Torch's sixth in Hardsigmoid and Hardswish is one of single precision.
RULES: dict[type[nn.Module], Rule] = {
    nn.Linear: _linear,
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.Conv3d: _convolution,
    nn.ConvTranspose1d: _convolution,
    nn.ConvTranspose2d: _convolution,
    nn.ConvTranspose3d: _convolution,
    nn.MaxPool1d: _max_pooling(1),
    nn.MaxPool2d: _max_pooling(2),
    nn.MaxPool3d: _max_pooling(3),
    nn.AvgPool1d: _mean_pooling(1),
    nn.AvgPool2d: _mean_pooling(2),
    nn.AvgPool3d: _mean_pooling(3),
    nn.AdaptiveAvgPool1d: _one_mean,
    nn.AdaptiveAvgPool2d: _one_mean,
    nn.AdaptiveAvgPool3d: _one_mean,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.BatchNorm3d: _batch_norm,
    nn.Dropout: _dropout,
    nn.Dropout1d: _dropout,
    nn.Dropout2d: _dropout,
    nn.Dropout3d: _dropout,
    nn.AlphaDropout: _dropout,
    nn.FeatureAlphaDropout: _dropout,
    MaxMin: _same("permutes its input"),
    GroupSort: _same("permutes its input"),
    nn.Identity: _same("keeps its input"),
    nn.Flatten: _reshaping,
    nn.Unflatten: _reshaping,
    nn.PixelUnshuffle: _same("permutes its input"),
    nn.PixelShuffle: _same("permutes its input"),
    nn.ChannelShuffle: _same("permutes its input"),
    nn.ZeroPad1d: _same("adds zeros"),
    nn.ZeroPad2d: _same("adds zeros"),
    nn.ReLU: _slope(1.0),
    nn.ReLU6: _slope(1.0),
    nn.LeakyReLU: lambda layer, called, eps: _steepest(1.0, layer.negative_slope),
    nn.PReLU: _prelu,
    nn.RReLU: _rrelu,
    nn.ELU: lambda layer, called, eps: _steepest(1.0, layer.alpha),
    nn.CELU: _celu,
    nn.SELU: _slope(1.7581),
    nn.Softplus: _softplus,
    nn.Softsign: _slope(1.0),
    nn.Softshrink: _slope(1.0),
    nn.Tanh: _slope(1.0),
    nn.Tanhshrink: _slope(1.0),
    nn.Hardtanh: _slope(1.0),
    nn.Sigmoid: _slope(0.25),
    nn.LogSigmoid: _slope(1.0),
    nn.Hardsigmoid: _slope(0.16667),
    nn.Hardswish: _slope(1.50001),
    nn.SiLU: _slope(1.0999),
    nn.GELU: _slope(1.129),
    nn.Mish: _slope(1.0886),
}
