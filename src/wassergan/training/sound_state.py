"""What a trainer's state must be before it is handed on at a tick: whole, finite, and equal on all processes."""

from wassergan.data import Batch, Source
from wassergan.networks import GivenGenerator
from wassergan.training.batch_norms import batch_norms, calibrate_batch_norms
from wassergan.training.distributed import DistributedContext
from wassergan.training.divergence import require_finite
from wassergan.training.spread import calibrate_spread, ranked_by
from wassergan.training.step_runner import StepRunner


class SoundState:
    """Brings all processes to one state that process 0 may hand on.

    Args:
        runner: both networks, the average and the statistics.
        source: of the training samples.
        latent_dim: numbers in a latent vector.
        seed: of the samples that batch normalisation is calibrated on.
        processes: those that train together.
        kept_back: training rows that no step sees, by which the averaged generator's spread is set; None leaves it.
    """

    def __init__(
        self,
        runner: StepRunner,
        source: Source,
        *,
        latent_dim: int,
        seed: int,
        processes: DistributedContext,
        kept_back: Batch | None = None,
    ) -> None:
        self._runner, self._source, self._processes = runner, source, processes
        self._latent_dim, self._seed, self._kept_back = latent_dim, seed, kept_back

    def reach(self, step: int, *, lr_factor: float) -> None:
        """Average the statistics, calibrate the averaged generator, and check.

        Args:
            step: generator steps so far.
            lr_factor: on both rates, for the message about what diverged.

        Raises:
            WorkError: something stopped being finite, or processes differ or are lost.
        """
        runner = self._runner
        runner.statistics.average(self._processes.average)
        self._calibrate_average()
        with self._processes.raise_together():
            networks = {"generator weights": runner.generator, "critic weights": runner.critic}
            require_finite(step, runner.statistics.peek(), networks, self._source, runner.recipe(lr_factor))
        self._processes.require_equal(step, runner.generator, runner.critic, runner.average.module)

    def _calibrate_average(self) -> None:
        """Give averaged weights the batch statistics and the spread that belong to them."""
        average = self._runner.average
        if average.lags and batch_norms(average.module):
            with self._processes.raise_together():
                calibrate_batch_norms(
                    average.module,
                    self._source.shape,
                    latent_dim=self._latent_dim,
                    seed=self._seed,
                    conditions=self._source.conditions,
                )
            self._processes.broadcast(average.module)  # devices of different kinds round differently
        if self._kept_back is not None:
            assert isinstance(average.module, GivenGenerator)
            with self._processes.raise_together():
                calibrate_spread(
                    average.module,
                    self._kept_back,
                    latent_dim=self._latent_dim,
                    seed=self._seed,
                    ranked=ranked_by(self._source.codec),
                )
            self._processes.broadcast(average.module)
