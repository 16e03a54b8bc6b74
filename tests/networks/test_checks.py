import pytest
import torch
from torch import Tensor, nn

from wassergan.errors import UserError
from wassergan.networks import check_critic, check_generator


class Lambda(nn.Module):
    def __init__(self, function) -> None:  # type: ignore[no-untyped-def]
        super().__init__()
        self.function = function

    def forward(self, values: Tensor) -> Tensor:
        return self.function(values)


# Critic: a squashing head.
@pytest.mark.parametrize("head", [nn.Sigmoid(), nn.Tanh(), nn.Softmax(dim=1), nn.LogSigmoid(), nn.Hardtanh()])
def test_a_critic_with_a_squashing_head_is_refused(head: nn.Module) -> None:
    with pytest.raises(
        UserError, match=rf"ends in {type(head).__name__}, which squashes its score\. End it in a linear"
    ):
        check_critic(nn.Sequential(nn.Linear(3, 1), head), torch.zeros(2, 3))


# Critic: averaging over the batch inside forward.
@pytest.mark.parametrize(
    ("critic", "found"),
    [(Lambda(lambda x: x.mean()), r"shape \(\) for 2 samples"), (nn.Linear(3, 2), r"shape \(2, 2\)")],
)
def test_a_critic_that_averages_over_the_batch_is_refused(critic: nn.Module, found: str) -> None:
    with pytest.raises(UserError, match=f"one score per sample: {found}"):
        check_critic(critic, torch.zeros(2, 3))


@pytest.mark.parametrize("critic", [nn.Linear(3, 1), nn.Sequential(nn.Linear(3, 1), nn.Flatten(0))])
def test_scores_may_come_with_or_without_an_axis_of_one(critic: nn.Module) -> None:
    check_critic(critic, torch.zeros(2, 3))


def test_looking_at_a_critic_leaves_its_statistics_mode_and_the_global_random_state_alone() -> None:
    critic = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))
    outside = torch.get_rng_state()
    check_critic(critic, torch.ones(2, 3))
    assert torch.equal(outside, torch.get_rng_state())
    assert critic.training and critic[1].num_batches_tracked == 0


def test_a_generator_of_other_samples_than_the_data_is_refused() -> None:
    with pytest.raises(UserError, match=r"do not have the shape of the data: \(5,\) instead of \(4,\)"):
        check_generator(nn.Linear(3, 5), torch.zeros(2, 3), (4,))


def test_looking_at_a_generator_leaves_its_statistics_and_its_mode_alone() -> None:
    generator = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    check_generator(generator, torch.ones(2, 3), (4,))
    assert generator.training and generator[1].num_batches_tracked == 0


def test_networks_that_do_not_fit_their_inputs_are_refused_with_the_shapes() -> None:
    with pytest.raises(
        UserError, match=r"generator cannot be applied to latent vectors .*: a batch of shape \(2, 9\): mat1 and mat2"
    ):
        check_generator(nn.Linear(8, 3), torch.zeros(2, 9), (3,))
    with pytest.raises(UserError, match=r"critic cannot be applied to samples.*shape \(2, 9\): "):
        check_critic(nn.Linear(8, 1), torch.zeros(2, 9))
    with pytest.raises(UserError, match="positional argument"):
        check_critic(nn.Linear(3, 1), torch.zeros(2, 3), torch.zeros(2, 1))
    with pytest.raises(UserError, match="generator must return a tensor: tuple"):
        check_generator(Lambda(lambda x: (x, x)), torch.zeros(2, 3), (3,))


def test_errors_of_memory_stay_what_they_are() -> None:
    def fail(values: Tensor) -> Tensor:
        raise RuntimeError("DefaultCPUAllocator: not enough memory")

    with pytest.raises(RuntimeError, match="not enough memory") as caught:
        check_generator(Lambda(fail), torch.zeros(2, 3), (3,))
    assert not isinstance(caught.value, UserError)
