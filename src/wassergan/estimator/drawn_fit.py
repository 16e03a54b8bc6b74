"""A fitted estimator that draws: new rows, missing cells, and how far its rows are from real ones."""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import NotFittedError as NotFittedOfScikitLearn
from torch import Tensor, nn

from wassergan.data import LABEL, ArrayConditions, Batch, is_frame
from wassergan.data.paired import require_given
from wassergan.data.readers.filearray import FileArray
from wassergan.data.tables.writing import Fresh
from wassergan.data.weights import checked_weights, proportional_positions
from wassergan.errors import UserError
from wassergan.estimator.drawing import InBlocks, VectorConditions
from wassergan.estimator.parameters import seed_from
from wassergan.estimator.state import FitState
from wassergan.estimator.validation import checked, checked_labels, checked_rows, wanted, weights_apart
from wassergan.evaluation.heldout import sliced_distance
from wassergan.modality import modality_of
from wassergan.sampling.completing import frame_completed
from wassergan.sampling.completion import Completer
from wassergan.sampling.sampler import Sampler
from wassergan.session.build import constraint_of, networks_of
from wassergan.session.contents import require_described
from wassergan.session.refinement import refinement_of
from wassergan.session.restore import sampler_of
from wassergan.session.state import CheckpointState
from wassergan.training import sample_chunks


class NotFittedError(UserError, NotFittedOfScikitLearn):  # type: ignore[misc]  # scikit-learn has no types
    """Nothing was fitted: scikit-learn's error, in one sentence."""


class DrawnFit(DensityMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What an estimator does with a fit, which `WassersteinGAN` makes and keeps.

    That class gives the parameters `random_state`, `refine` and `device`, and of a fit `_fitted`, `_container`,
    `_restoring` and `_labelled`.
    """

    _refinement: Mapping[str, Any] | None = None

    def sample(
        self,
        n: int | None = None,
        *,
        given: Any = None,
        condition_array: Any = None,
        given_past: Any = None,
        draws: int | None = None,
        seed: int | None = None,
        refine: int | None = None,
    ) -> Any:
        """Draw new rows.

        Args:
            n: how many, at least 1; left out where `condition_array` or `given_past` says it.
            given: the conditions that rows are drawn under: name → a value, or n of them; or a DataFrame or a list of
                mappings with n rows. Where the labels of y are the only condition, a label or n of them will do. What
                is left open is drawn as it goes with what is given.
            condition_array: rows like those of the fit, under each of which one sample is drawn, or `draws`.
            given_past: the first steps of series (k, steps, channels), or (steps, channels) of one: what comes after
                each is drawn. A table has the channels as columns, and a row for each step.
            draws: samples for each row of `condition_array`, or for each past, as a second axis; fewer are the first of
                more.
            seed: of the rows; a smaller n gives the first rows of a larger one. Unless given it comes from
                `random_state`: always the same if that is a number, another one in each call if it is None.
            refine: of so many draws one is kept; the parameter `refine` of the fit unless given. 1 keeps all.

        Returns:
            What was fitted: a DataFrame with the columns, order and types of the one that came (less those that were
            left out), an array of the same type and layout, or a tensor on the CPU. What is given comes back exactly.

        Raises:
            NotFittedError: nothing was fitted.
            UserError: not a positive n, not a seed, or no such conditions; or `refine`, and it was fitted without.
        """
        self._known()
        arrays = {"condition_array": condition_array, "given_past": given_past}
        if asked := {name: each for name, each in arrays.items() if each is not None}:
            return self._under_array(asked, n, given=given, draws=draws, seed=seed, refine=refine)
        if draws is not None:
            raise UserError(
                "draws counts the samples for each row of condition_array, or for each past", hint="give both, or n"
            )
        count = checked("n", n, like="steps")
        seed = seed_from(self.random_state) if seed is None else checked("seed", seed)
        sampler = self._refined(refine)
        if given is not None:
            sampler = sampler.under(wanted(given, count, sampler.conditions))
        sampler.require_identifiers(count)
        drawn = sampler.draw(count, seed=seed)
        return self._restored(drawn, sampler, _fresh_identifiers(sampler, seed))

    def _under_array(
        self,
        asked: Mapping[str, Any],
        n: int | None,
        *,
        given: Any,
        draws: int | None,
        seed: int | None,
        refine: int | None,
    ) -> Any:
        """Samples under the rows of an array, or after pasts: (rows, ...), or (rows, draws, ...)."""
        (name, array), *others = asked.items()
        if given is not None or n is not None or others:
            raise UserError(
                f"{name} says how many samples are drawn, and under what",
                found=others[0][0] if others else "given" if given is not None else f"n={n}",
                hint="leave it out, or give draws",
            )
        count = None if draws is None else checked("draws", draws, like="steps")
        seed = seed_from(self.random_state) if seed is None else checked("seed", seed)

        def log(sentence: str) -> None:
            warnings.warn(sentence, UserWarning, stacklevel=6)

        sampler = replace(self._refined(refine), generator=self._drawing.generator)  # it is asked block by block
        under = sampler.under_array if name == "condition_array" else sampler.under_past
        sampler = under(array, draws=count, log=log)
        drawn = sampler.draw_ensembles(seed=seed)
        if count is None:
            return self._restored(drawn, sampler, [])
        flat = self._restored(drawn.reshape(-1, *drawn.shape[2:]), sampler, [])
        return flat.reshape(-1, count, *flat.shape[1:])

    def complete(self, X: Any, *, draws: int | None = None, seed: int | None = None) -> Any:  # noqa: N803
        """Fill the missing cells of rows, drawn from their distribution given the rest of each row.

        Args:
            X: a DataFrame or an Arrow table with the columns that were fitted, in any order.
            draws: complete the rows so many times, each time anew; fewer are the first of more. Once unless given.
            seed: of what is filled in; unless given it comes from `random_state`, as that of `sample`.

        Returns:
            The same rows with the same index, order and types; of several draws a list. Cells that were there are
            unchanged. A column of categories gets those that it lacks.

        Raises:
            NotFittedError: nothing was fitted.
            UserError: the fit was without `completion`, or the columns are others.
        """
        self._known()
        seed = seed_from(self.random_state) if seed is None else checked("seed", seed)
        count = 1 if draws is None else checked("draws", draws, like="steps")
        completer = Completer.of(self._drawing)
        if not is_frame(X):
            raise UserError("Rows to complete come in a DataFrame", found=type(X).__name__, hint="give one")
        found = [frame_completed(completer, X, seed=seed, draw=draw) for draw in range(count)]
        return found[0] if draws is None else found

    def sample_chunks(self, n: int, *, seed: int | None = None, refine: int | None = None) -> Iterator[Any]:
        """The rows of `sample(n, seed=seed)`, one part after the other, so that any number of them needs little memory.

        Args:
            n: how many, at least 1.
            seed: of the rows, as in `sample`.
            refine: as in `sample`.

        Yields:
            Parts like what was fitted, as `sample` returns them.

        Raises:
            NotFittedError: nothing was fitted.
            UserError: not a positive n, not a seed, or a table that has too few fresh identifiers.
        """
        self._known()
        count = checked("n", n, like="steps")
        seed = seed_from(self.random_state) if seed is None else checked("seed", seed)
        sampler = self._refined(refine)
        sampler.require_identifiers(count)
        identifiers = _fresh_identifiers(sampler, seed)
        for drawn in sampler.chunks(count, seed=seed):
            yield self._restored(drawn, sampler, identifiers)

    def score(
        self,
        X: Any,  # noqa: N803
        y: Any = None,
        *,
        condition_array: Any = None,
        sample_weight: Any = None,
    ) -> float:
        """Minus the distance between X and as many generated rows, in model space: higher is better, 0 the best.

        The distance is that of `history_`: sliced W1, or of arrays with two axes or more patch-sliced W1.

        Latents and directions are fixed, so the score of an estimator and some rows is always the same number. Under
        conditions, rows are generated under those of X and y, and compared together with them.

        Args:
            X: rows like those that were fitted.
            y: their labels, if it was fitted with labels; else ignored.
            condition_array: their conditions, if it was fitted under an array.
            sample_weight: their weights, as for `fit`: as many rows are drawn from X in proportion to these.

        Raises:
            NotFittedError: nothing was fitted.
            UserError: rows of another kind or shape, or no labels; it is a ValueError.
        """
        self._known()
        X, sample_weight = weights_apart(X, sample_weight)  # noqa: N806
        labels = checked_labels(y, X) if self._labelled and y is not None else None
        sampler = self._sampler
        real, context = self._model_space(checked_rows(self, X, reset=False), labels, sampler)
        require_given(sampler.conditions, condition_array)
        if isinstance(sampler.conditions, ArrayConditions):
            context = sampler.conditions.of_rows(condition_array, len(real))
        if sample_weight is not None:
            weights = checked_weights(sample_weight, count=len(real), name="sample_weight")
            chosen = proportional_positions(weights, len(real), rng=torch.Generator().manual_seed(0))
            real, context = real[chosen], None if context is None else context[chosen]
        conditions = None if context is None else VectorConditions(context)
        chunks = sample_chunks(
            sampler.generator, len(real), latent_dim=sampler.latent_dim, seed=0, conditions=conditions
        )
        return -sliced_distance(Batch(real, context), Batch(torch.cat(list(chunks)), context), seed=0)

    @cached_property
    def generator_(self) -> nn.Module:
        """The averaged generator: (n, latent numbers) to (n, ...) in model space, in evaluation mode."""
        return self._drawing.generator

    @cached_property
    def critic_(self) -> nn.Module:
        """The critic after the last step, on the CPU: (n, ...), and (n, k) of conditions if there are any, to (n,)."""
        fitted = self._known()
        state = fitted.checkpoint
        settings, shape, codec, given = state.settings, state.shape, state.codec, state.context_shape
        require_described(settings, shape, codec, state.trainer, given=given)
        _, critic = networks_of(settings, shape, codec, context_shape=given)
        constraint_of(settings).prepare(critic)
        critic.load_state_dict(state.critic)
        return critic.eval().requires_grad_(False)

    @cached_property
    def _drawing(self) -> Sampler:
        return sampler_of(self._drawn_state, device=self.device)

    @property
    def _drawn_state(self) -> CheckpointState:
        """With the weights that rows are drawn with."""
        fitted = self._known()
        best = fitted.course.best_weights if self._restoring else None
        return fitted.checkpoint.with_average(best) if best else fitted.checkpoint

    def _refined(self, refine: int | None) -> Sampler:
        """Draws rows of which one of so many is kept."""
        draws = self.refine if refine is None else checked("refine", refine, like="steps")
        if draws is None or (draws == 1 and self._refinement is None):
            return self._sampler
        if self._refinement is None:
            raise UserError(
                "The estimator was fitted without what refines rows",
                found=f"refine={draws}",
                hint=f"fit WassersteinGAN(refine={draws}, ...), or leave refine out",
            )
        drawing = self._drawing
        refinement = refinement_of(
            self._refinement, self._drawn_state, drawing, draws=checked("refine", draws, like="steps")
        )
        return replace(self._sampler, refinement=refinement)

    @property
    def _sampler(self) -> Sampler:
        """Draws rows that do not depend on how many are asked for, as those of tables do not anyway."""
        drawing = self._drawing
        if modality_of(drawing.kind).is_independent_of_count:
            return drawing
        return replace(drawing, generator=InBlocks(drawing.generator).eval())

    def _known(self) -> FitState:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                "This WassersteinGAN is not fitted yet",
                hint="call fit(X), or load a saved one: WassersteinGAN.load(path)",
            )
        fitted: FitState = self._fitted
        return fitted

    def _restored(self, samples: NDArray[Any], sampler: Sampler, identifiers: Fresh) -> Any:
        """Samples as what was fitted, without the labels."""
        modality, without = modality_of(sampler.kind), (LABEL,) if self._labelled else ()
        codec = modality.own(sampler.codec)
        return modality.restore(samples, codec, self._container, without=without, identifiers=identifiers)

    def _model_space(self, data: Any, labels: NDArray[Any] | None, sampler: Sampler) -> tuple[Tensor, Tensor | None]:
        """Rows like those that were fitted, and their conditions if there are any, as vectors."""
        codec, conditions = sampler.codec, sampler.conditions
        if self._labelled and labels is None:
            raise UserError("The estimator was fitted with labels", found="none", hint="give them as y")
        modality, shape = modality_of(sampler.kind), self._known().checkpoint.shape
        return modality.encode(
            np.asarray(data) if isinstance(data, FileArray) else data, labels, modality.own(codec), conditions, shape
        )

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is something to draw from."""
        return "_fitted" in vars(self)


def _fresh_identifiers(sampler: Sampler, seed: int) -> Fresh:
    """Streams of identifiers for a sample, from its first row on; nothing where there are none."""
    return [(each, each.stream(seed)) for each in sampler.codec.identifiers]
