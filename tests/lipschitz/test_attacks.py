"""What would make a certificate a lie: each attempt is refused or counted."""

import copy
import math
import os
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.nn.utils import parametrizations, parametrize

from wassergan.errors import UserError
from wassergan.lipschitz import Averaged, Concatenated, MaxMin, Residual, certify
from wassergan.networks import MLPCritic

sys.path.insert(0, str(Path(__file__).parent))
from random_critics import trial

TRIALS = int(os.environ.get("WASSERGAN_TRIALS", "20"))


def scaled(factor: float, size: int = 3) -> nn.Linear:
    layer = nn.Linear(size, size)
    layer.weight.data = factor * torch.eye(size)
    return layer


def emptied() -> nn.Linear:
    layer = nn.Linear(3, 3)
    layer.weight = nn.Parameter(torch.zeros(0, 3))
    return layer


def vector() -> nn.Linear:
    layer = nn.Linear(3, 3)
    layer.weight = nn.Parameter(torch.ones(3))
    return layer


def nested(depth: int) -> nn.Module:
    critic: nn.Module = scaled(1.0)
    for _ in range(depth):
        critic = nn.Sequential(critic)
    return critic


class Claimed(nn.Module):
    """A module that says of itself what is no proof."""

    def __init__(self, claim: object) -> None:
        super().__init__()
        self.claim = claim

    def forward(self, values: Tensor) -> Tensor:
        return values

    def lipschitz_proof(self) -> object:
        return self.claim


def refused(critic: object, match: str) -> None:
    with pytest.raises(UserError, match=match):
        certify(critic)  # type: ignore[arg-type]


@pytest.mark.filterwarnings(
    "ignore:.*weight_norm.*deprecated", "ignore:Using padding='same'", "ignore:Initializing zero"
)
def test_no_pair_of_points_beats_the_certificate_of_a_random_critic() -> None:
    outcomes = [trial(seed) for seed in range(TRIALS)]
    certified = [each for each in outcomes if each is not None]
    assert len(certified) > 0.6 * TRIALS
    beaten = [(seed, each) for seed, each in enumerate(outcomes) if each and each[1] > each[0] * (1 + 1e-9) + 1e-12]
    assert not beaten
    # The search is worth something, and the certificates are not far off.
    assert sum(found > 0.5 * constant for constant, found in certified) > 0.2 * len(certified)


def test_every_use_of_a_layer_counts() -> None:
    double, steep = scaled(2.0), nn.SiLU()
    assert certify(nn.Sequential(double, double, double)).constant == pytest.approx(8)
    assert certify(nn.Sequential(steep, steep)).constant == pytest.approx(1.0999**2)
    inner = nn.Sequential(double, MaxMin())
    twice = certify(nn.Sequential(inner, inner))
    assert twice.constant == pytest.approx(4)
    assert [layer.name for layer in twice.layers] == ["0.0", "0.1", "1.0", "1.1"]
    other = nn.Linear(3, 3)
    other.weight = double.weight
    assert certify(nn.Sequential(double, other)).constant == pytest.approx(4)
    assert certify(Residual(nn.Sequential(double, double))).constant == pytest.approx(5)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated:FutureWarning")
@pytest.mark.parametrize("training", [True, False])
def test_older_normalisations_count_with_the_weights_of_the_next_pass(training: bool) -> None:
    layer = nn.utils.weight_norm(scaled(1.0)).train(training)
    layer.weight_g.data.mul_(10)
    before = layer.weight.clone()
    assert certify(layer).constant == pytest.approx(10)
    assert torch.equal(layer.weight, before)
    layer = nn.utils.spectral_norm(scaled(1.0)).train(training)
    layer.weight_u.data = torch.tensor([1.0, 0.0, 0.0])
    layer.weight_v.data = torch.tensor([1.0, 0.0, 0.0])
    layer.weight_orig.data = torch.diag(torch.tensor([1.0, 10.0, 0.0]))
    kept = copy.deepcopy(layer.state_dict())
    assert certify(layer).constant == pytest.approx(10, rel=1e-5)  # u and v look along the small direction
    assert all(torch.equal(kept[name], value) for name, value in layer.state_dict().items())
    layer(torch.eye(3))
    assert torch.linalg.matrix_norm(layer.weight, ord=2).item() == pytest.approx(10, rel=1e-5)


@pytest.mark.parametrize("normalise", [parametrizations.spectral_norm, parametrizations.weight_norm])
def test_parametrised_weights_in_train_mode_stay_as_they_are(normalise) -> None:
    torch.manual_seed(0)
    layer = normalise(nn.Linear(6, 5)).train()
    kept, state = copy.deepcopy(layer.state_dict()), torch.get_rng_state()
    constant = certify(layer).constant
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(kept[name], value) for name, value in layer.state_dict().items())
    points = torch.eye(6)
    with torch.no_grad():
        rows = layer(torch.cat([points, torch.zeros(1, 6)]))
    assert torch.linalg.matrix_norm(rows[:6] - rows[6], ord=2).item() <= constant * (1 + 1e-6)


class Moody(nn.Module):
    """A parametrisation that gives another weight from the third time on, when nobody compares any more."""

    def __init__(self) -> None:
        super().__init__()
        self.passes = [0]

    def __deepcopy__(self, memo: object) -> "Moody":
        return self

    def forward(self, weight: Tensor) -> Tensor:
        self.passes[0] += 1
        return weight * (1 if self.passes[0] < 3 else 10)


class Watchful(nn.Module):
    """A parametrisation that is steeper where a gradient is taken."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight * (10 if torch.is_grad_enabled() else 1)


class Noisy(nn.Module):
    """A parametrisation that draws."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight * torch.rand(())


@pytest.mark.parametrize("kind", [Moody, Noisy, Watchful])
def test_weights_that_code_of_others_makes_are_refused(kind: type[nn.Module]) -> None:
    for name in ("weight", "bias"):
        layer = scaled(1.0)
        parametrize.register_parametrization(layer, name, kind(), unsafe=True)
        refused(layer, rf"^Linear .*a parametrisation of {name} that is not known: {kind.__name__}")
    norm = nn.BatchNorm1d(3).eval()
    parametrize.register_parametrization(norm, "running_var", kind(), unsafe=True)
    refused(norm, "a parametrisation of running_var")


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated:FutureWarning")
def test_a_parametrisation_behind_an_older_normalisation_is_refused() -> None:
    layer = nn.utils.weight_norm(scaled(1.0))
    parametrize.register_parametrization(layer, "weight_g", Watchful())
    refused(layer, "a parametrisation of weight_g")
    layer = nn.utils.weight_norm(scaled(1.0)).train()
    parametrizations.spectral_norm(layer, "weight_v")  # whose vectors the look at its weights would move
    refused(layer, "a parametrisation of weight_v")


def test_a_known_parametrisation_whose_code_was_replaced_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = parametrizations.orthogonal(scaled(1.0))
    assert certify(layer).constant == pytest.approx(1)
    plain = parametrizations._Orthogonal.forward
    monkeypatch.setattr(parametrizations._Orthogonal, "forward", lambda self, weight: 10 * plain(self, weight))
    refused(layer, "forward replaced in _Orthogonal")


def test_what_lies_around_a_critic_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.autocast("cpu"):
        refused(scaled(1.0), "under autocast: scores move in steps")
    normed = parametrizations.weight_norm(scaled(1.0))
    with parametrize.cached():
        normed(torch.ones(1, 3))
        normed.parametrizations.weight.original0.data.mul_(10)
        refused(normed, "while weights are cached")
    assert certify(normed).constant == pytest.approx(10)
    linear = nn.functional.linear
    monkeypatch.setattr(nn.functional, "linear", lambda *given: 10 * linear(*given))
    refused(scaled(1.0), "linear replaced in torch.nn.functional")
    monkeypatch.undo()
    for kind in (MLPCritic, nn.Linear):
        monkeypatch.setattr(kind, "__call__", lambda self, values: 10 * values, raising=False)
        refused(MLPCritic((2,)), "a class with its own __call__")
        monkeypatch.undo()


def test_the_surroundings_that_change_nothing_are_fine() -> None:
    critic = nn.Sequential(nn.Conv2d(1, 2, 3, 2), nn.AvgPool2d(3, 2, 1, ceil_mode=True), Averaged(nn.ReLU()))
    expected = certify(critic).constant
    with torch.device("meta"), torch.inference_mode():
        assert certify(critic).constant == expected
    try:
        torch.set_default_dtype(torch.float16)
        assert certify(critic).constant == expected
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_balance_with_axes_of_its_own_is_refused() -> None:
    # (1, 1, 1) beside (n, d) makes (1, n, d), whose axis 0 no longer counts samples.
    block = Averaged(nn.ReLU())
    block.balance = nn.Parameter(torch.zeros(1, 1, 1))
    refused(block, r"a balance of shape \(1, 1, 1\)")


def test_single_precision_weights_excuse_a_jump_only_where_they_admit_nothing_else() -> None:
    # The balance of `Averaged` is one number, which leaves samples of double precision as they are.
    assert Averaged(nn.Softplus())(torch.ones(1, 1, dtype=torch.float64)).dtype == torch.float64
    refused(Averaged(nn.Softplus()), "Softplus jumps at its threshold: 20")


def test_padding_that_crops_one_end_shows_the_other_end_often() -> None:
    layer = nn.Conv1d(1, 1, 1, padding=1, padding_mode="replicate", bias=False).double()
    layer.weight.data.fill_(1.0)
    layer._reversed_padding_repeated_twice = [3, -3]
    assert operator_norm(layer, (1, 5)) == pytest.approx(2)
    assert certify(layer).constant >= 2


def test_hooks_are_refused_wherever_they_sit() -> None:
    for register in ("register_forward_hook", "register_forward_pre_hook"):
        for whole in (scaled(1.0), nn.Sequential(scaled(1.0)), MLPCritic((2,)), Averaged(scaled(1.0))):
            for part in whole.modules():
                handle = getattr(part, register)(lambda *given: None)
                refused(whole, "a forward hook")
                handle.remove()
            certify(whole)
    everywhere = register_module_forward_hook(lambda *given: None)
    try:
        refused(scaled(1.0), "forward hooks on all modules")
    finally:
        everywhere.remove()


def test_methods_that_are_replaced_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = scaled(1.0)
    layer.forward = lambda values: 10 * values  # type: ignore[assignment]
    refused(layer, "forward replaced on the instance")
    convolution = nn.Conv2d(1, 1, 3)
    convolution._conv_forward = lambda values, weight, bias: 10 * values  # type: ignore[assignment]
    refused(convolution, "_conv_forward replaced on the instance")
    groups = MaxMin()
    groups.sorted_groups = lambda values: 10 * values  # type: ignore[assignment]
    refused(groups, "sorted_groups replaced on the instance")
    parametrised = parametrizations.weight_norm(scaled(1.0))
    type(parametrised).forward = lambda self, values: 10 * values
    refused(parametrised, "cannot be bounded")
    compiled = scaled(1.0)
    compiled._compiled_call_impl = lambda values: 10 * values  # where `compile` puts what it made
    refused(compiled, "a compiled forward pass")
    monkeypatch.setattr(nn.Linear, "forward", lambda self, values: 10 * values)
    refused(scaled(1.0), "forward replaced in Linear")
    monkeypatch.undo()
    monkeypatch.setattr(MLPCritic, "forward", lambda self, values: 10 * values)
    refused(MLPCritic((2,)), "forward put into MLPCritic later")


class Tenfold(MLPCritic):
    def forward(self, samples: Tensor, context: Tensor | None = None) -> Tensor:
        return 10 * super().forward(samples, context)


class Backwards(nn.Sequential):
    def __iter__(self):
        return reversed(list(super().__iter__()))


class Called(nn.Linear):
    def __call__(self, values: Tensor) -> Tensor:
        return 10 * super().__call__(values)


class Widened(nn.Conv2d):
    def _conv_forward(self, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return 10 * super()._conv_forward(values, weight, bias)


def test_subclasses_are_refused() -> None:
    refused(Tenfold((2,)), "lipschitz_chain of a base class")
    refused(Backwards(scaled(1.0)), "Backwards cannot be bounded")
    refused(Called(2, 2), "Called cannot be bounded")
    refused(nn.Sequential(Widened(1, 1, 3)), r"Layer '0' \(Widened\) cannot be bounded")


def test_a_branch_of_another_shape_is_refused_before_and_in_the_forward_pass() -> None:
    for block in (Averaged(nn.Linear(4, 1)), Residual(nn.Linear(4, 1)), Residual(nn.Identity(), nn.Linear(4, 1))):
        refused(block, "does not give the shape of what it is added to")
        with pytest.raises(UserError, match="adds what has one shape"):
            block(torch.ones(2, 4))
    refused(Residual(nn.Conv2d(3, 1, 3, padding=1)), "does not give the shape")
    assert certify(Residual(nn.Conv2d(3, 1, 3, padding=1), nn.Conv2d(3, 1, 1))).constant > 0
    refused(Residual(nn.AvgPool1d(3, 1)), "does not give the shape")
    assert certify(Residual(nn.AvgPool1d(3, 1, 1))).constant == pytest.approx(2, abs=0.2)


def test_a_block_whose_branch_overwrites_its_input_is_refused() -> None:
    steep = nn.LeakyReLU(5.0, inplace=True)
    for block in (Concatenated(steep, nn.Identity()), Residual(nn.Sequential(nn.Identity(), steep)), Averaged(steep)):
        refused(block, "overwrites the input of its block")
    assert certify(Residual(nn.Sequential(scaled(1.0), steep))).constant == pytest.approx(6)


def test_jumps_are_refused() -> None:
    # log(1 + e⁻ᵗ) is where Softplus falls back onto the identity: 0.31 at 1, 2e-9 at 20, nothing at 40.
    refused(nn.Softplus(threshold=1), "Softplus jumps at its threshold: 1")
    refused(nn.Sequential(scaled(1.0).double(), nn.Softplus()), "Softplus jumps at its threshold: 20")
    assert certify(nn.Sequential(scaled(1.0), nn.Softplus())).constant == pytest.approx(1)
    for layer in (nn.Hardshrink(), nn.Threshold(0.0, 1.0)):
        refused(layer, "cannot be bounded")


@pytest.mark.parametrize(
    ("critic", "match"),
    [
        (None, "Only a module has a Lipschitz constant: NoneType"),
        (torch.relu, "Only a module has a Lipschitz constant"),
        (nn.ReLU, "Only a module has a Lipschitz constant: type"),
        (nn.LazyLinear(3), "LazyLinear cannot be bounded"),
        (emptied(), "an empty layer has no bound"),
        (nn.Linear(2, 2).half(), r"moves? in steps: weight in torch.float16"),
        (nn.Linear(2, 2).bfloat16(), "certify|Certify critic.float"),
        (nn.Linear(2, 2, dtype=torch.complex64), "weight of type torch.complex64"),
        (nn.Linear(2, 2, device="meta"), "without values"),
        (nn.Flatten(0), "the axis of samples"),
        (nn.BatchNorm1d(3), "batch statistics join the samples"),
        (nn.BatchNorm1d(3, track_running_stats=False).eval(), "batch statistics join the samples"),
        (nn.Dropout(), "dropout draws at every pass"),
        (nn.MaxPool1d(2, return_indices=True), "returns indices"),
        (nn.CELU(-1.0), "positive alpha"),
        (nn.AdaptiveAvgPool1d(2), "only to one number"),
        (nn.AvgPool2d(2, divisor_override=0), "a divisor of 0"),
        (nn.MaxPool1d(0), "settings that no forward pass takes"),
        (nn.LeakyReLU(None), "settings that no forward pass takes"),  # type: ignore[arg-type]
        (nn.BatchNorm1d(0).eval(), "an empty layer has no bound"),
        (vector(), "the weights are no matrix"),
        (nested(2000), "blocks nested too deep to follow"),
        (Claimed(3.0), "lipschitz_proof"),
        (Claimed(None), "lipschitz_proof"),
        (Claimed((torch.ones(()), "a guess")), "has no bound"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_bound_is_a_user_error(critic: object, match: str) -> None:
    refused(critic, match)


def test_a_missing_layer_and_a_circle_are_user_errors() -> None:
    critic = nn.Sequential(scaled(1.0), scaled(1.0))
    critic._modules["1"] = None  # type: ignore[assignment]
    refused(critic, "Layer '1' is no module: NoneType")
    critic._modules["1"] = critic
    refused(critic, "a module that holds itself")
    outer, inner = Residual(nn.Identity()), Residual(nn.Identity())
    outer.branch, inner.branch = inner, outer
    refused(outer, "a module that holds itself")


def operator_norm(layer: nn.Module, shape: tuple[int, ...]) -> float:
    size = math.prod(shape)
    basis = torch.eye(size, dtype=torch.float64).view(size, *shape)
    with torch.no_grad():
        rows = (layer(basis) - layer(torch.zeros_like(basis))).flatten(1)
    return torch.linalg.matrix_norm(rows, ord=2).item()


@pytest.mark.parametrize("mode", ["zeros", "circular", "reflect", "replicate"])
@pytest.mark.parametrize(
    ("size", "stride", "padding", "dilation"), [(3, 1, 1, 1), (3, 2, 2, 1), (2, 3, 3, 2), (4, 1, 3, 2)]
)
def test_padding_counts_what_it_repeats(mode: str, size: int, stride: int, padding: int, dilation: int) -> None:
    torch.manual_seed(0)
    for channels in (1, 2):
        layer = nn.Conv1d(channels, 2, size, stride, padding, dilation, padding_mode=mode).double()  # type: ignore[arg-type]
        norms = [operator_norm(layer, (channels, length)) for length in (7, 8, 9, 12, 20)]
        constant = certify(layer).constant
        assert max(norms) <= constant
        assert constant <= max(norms) * (1.05 if mode == "zeros" else 3)


def test_padding_alone_can_raise_the_norm() -> None:
    # A kernel that keeps its input: what is left is the padding, whose edge is shown 1 + 2 times.
    layer = nn.Conv1d(1, 1, 1, padding=2, padding_mode="replicate", bias=False).double()
    layer.weight.data.fill_(1.0)
    assert operator_norm(layer, (1, 9)) == pytest.approx(3**0.5)
    assert certify(layer).constant >= 3**0.5


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_pooling_counts_overlaps(size: int, stride: int) -> None:
    # Σ_w (max_w x)² over windows: a peak is seen by ⌈size / stride⌉ of them.
    assert certify(nn.MaxPool1d(size, stride)).constant == pytest.approx(math.ceil(size / stride) ** 0.5)
    peak = torch.zeros(1, 1, 60, dtype=torch.float64)
    seen = max(
        nn.MaxPool1d(size, stride)(peak.index_fill(2, torch.tensor([k]), 1.0)).norm().item() for k in range(20, 30)
    )
    assert seen == pytest.approx(math.ceil(size / stride) ** 0.5)
    for padding in range(size // 2 + 1):
        for ceil, include in ((False, True), (True, True), (False, False), (True, False)):
            layer = nn.AvgPool1d(size, stride, padding, ceil, include)
            norms = [operator_norm(layer, (1, length)) for length in range(size, 25)]
            assert max(norms) <= certify(layer).constant <= 1.5 * max(norms)


def test_dilated_maxima_overlap_by_what_the_steps_share() -> None:
    # Taps two apart, steps of two: every tap falls on the same grid, so all three windows meet a point.
    assert certify(nn.MaxPool1d(3, 2, dilation=2)).constant == pytest.approx(3**0.5)
    assert certify(nn.MaxPool1d(2, 3, dilation=2)).constant == pytest.approx(1)


def test_the_certificate_rounds_up_and_neither_overflows_nor_vanishes() -> None:
    for factor in (1e-310, 1e-200, 0.1, 1e200):
        layer = nn.Linear(1, 1, bias=False).double()
        layer.weight.data.fill_(factor)
        assert factor <= certify(layer).constant <= factor * (1 + 1e-9)
    # √2 · 5e-324 has no float64 of its own, so the nearest one lies below it.
    least = nn.Linear(2, 1, bias=False).double()
    least.weight.data.fill_(5e-324)
    assert certify(least).constant > 5e-324
    tiny, huge = (nn.Linear(1, 1, bias=False).double() for _ in range(2))
    tiny.weight.data.fill_(1e-200)
    huge.weight.data.fill_(1e200)
    assert certify(nn.Sequential(tiny, tiny, huge, huge)).constant == pytest.approx(1)
    assert certify(nn.Sequential(tiny, tiny)).constant > 0
    refused(nn.Sequential(huge, huge), "overflows")
