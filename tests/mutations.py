"""Put known bugs into a copy of the library, one at a time, and see the test that guards against each fail.

Run it from anywhere: `python tests/mutations.py`, or with words of a bug's description to run only some:
`python tests/mutations.py "batch norm"`. It exits with 0 if every bug was caught. It is no part of the test
suite: it takes several minutes. A change of the source that a bug was written for makes the bug stale, which is
reported and counts as a failure: bring the table up to date.
"""

import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

HEAVY = ("torch", "scipy.stats", "sklearn.datasets", "matplotlib.figure", "PIL.Image", "click")

ROOT = Path(__file__).parents[1]
NO_RESULT = 99


@dataclass(frozen=True)
class Bug:
    """A bug: in which file, the sound text, the broken text, and the test that must fail."""

    what: str
    file: str
    sound: str
    broken: str
    test: str


CONSTRAINTS, LIPSCHITZ, STEPS, TRAINER = (
    "constraints.py",
    "lipschitz/spectral.py",
    "training/steps.py",
    "training/trainer.py",
)
IN_CONSTRAINTS, IN_STEPS, IN_TRAINER = "test_constraints.py", "training/test_steps.py", "training/test_trainer.py"
DISTRIBUTED, IN_DISTRIBUTED = "training/distributed.py", "training/test_distributed.py"
TWO_ARE_ONE = f"{IN_DISTRIBUTED}::test_two_processes_at_half_the_batch_are_one_at_the_whole"
RESUMED = f"{IN_TRAINER}::test_2n_steps_are_n_steps_and_a_resume_and_n_steps_bit_for_bit"

BUGS = (
    # Forms of text
    Bug(
        "a date format that is not written back as it was",
        "data/tables/date_finding.py",
        "        return layout.write(micros, fixed_zone(offset) if offset is not None else zone) == text",
        "        return bool(layout.write(micros, fixed_zone(offset) if offset is not None else zone))",
        "data/tables/test_forms.py::test_a_format_that_would_write_another_text_is_none_of_the_column",
    ),
    Bug(
        "morning and evening alike",
        "data/tables/date_texts.py",
        '        hour = told["I"] % 12 + 12 * told["p"]',
        '        hour = told["I"] % 12',
        "data/tables/test_forms.py::test_formats_write_what_the_c_library_writes_and_read_it_back",
    ),
    Bug(
        "draws beside the step of the values",
        "data/tables/steps.py",
        "        return np.asarray(count.clip(first, max(first, last)) * self.step + self.offset, np.int64)",
        "        return values",
        "data/tables/test_forms.py::test_draws_lie_on_the_grid_of_the_values_and_within_their_bounds",
    ),
    Bug(
        "steps by accident",
        "data/tables/steps.py",
        "ACCIDENT_DIGITS = 6.0",
        "ACCIDENT_DIGITS = 0.0",
        "data/tables/test_forms.py::test_a_step_counts_where_it_is_no_accident",
    ),
    Bug(
        "the rest of the file does not count for a decimal sign",
        "data/tables/number_texts.py",
        "    against = bool(evidence) and dress.decimal != evidence",
        "    against = False",
        "data/tables/test_forms.py::test_a_point_that_may_part_thousands_is_decided_by_the_rest_of_the_file_and_said",
    ),
    Bug(
        "lines without end",
        "data/tables/csv_lines.py",
        "        line = self._text.readline(LONGEST_LINE + 1)",
        "        line = self._text.readline()",
        "data/tables/test_csv_dialect.py::test_lines_without_end_are_refused_before_they_take_memory",
    ),
    Bug(
        "commas before semicolons",
        "data/tables/csv_dialect.py",
        'DELIMITERS = ("\\t", ";", "|", ",")',
        'DELIMITERS = (",", "\\t", ";", "|")',
        "data/tables/test_csv_dialect.py::test_a_sign_that_fits_every_line_goes_before_the_comma",
    ),
    # Penalty
    Bug(
        "one norm over the whole batch",
        CONSTRAINTS,
        "torch.linalg.vector_norm(_full_precision(gradients).flatten(1), dim=1)",
        "torch.linalg.vector_norm(gradients).expand(len(gradients))",
        f"{IN_CONSTRAINTS}::test_penalty_of_a_linear_critic_has_its_closed_form_for_every_batch_size_and_rank",
    ),
    Bug(
        "one norm over the channel axis only",
        CONSTRAINTS,
        "torch.linalg.vector_norm(_full_precision(gradients).flatten(1), dim=1)",
        "torch.linalg.vector_norm(gradients, dim=1).flatten()",
        f"{IN_CONSTRAINTS}::test_penalty_of_a_linear_critic_has_its_closed_form_for_every_batch_size_and_rank",
    ),
    Bug(
        "one mixing weight per batch",
        CONSTRAINTS,
        "weight_shape = (share.of * len(real),) + (1,) * (real.dim() - 1)",
        "weight_shape = (1,) * real.dim()",
        f"{IN_CONSTRAINTS}::test_mixing_weight_is_constant_within_a_sample_differs_across_samples_and_is_uniform",
    ),
    Bug(
        "one mixing weight per pixel",
        CONSTRAINTS,
        "weight_shape = (share.of * len(real),) + (1,) * (real.dim() - 1)",
        "weight_shape = real.shape",
        f"{IN_CONSTRAINTS}::test_mixing_weight_is_constant_within_a_sample_differs_across_samples_and_is_uniform",
    ),
    Bug(
        "mixing weights from a normal law",
        CONSTRAINTS,
        "torch.rand(weight_shape",
        "torch.randn(weight_shape",
        f"{IN_CONSTRAINTS}::test_mixing_weight_is_constant_within_a_sample_differs_across_samples_and_is_uniform",
    ),
    Bug(
        "graph cut in the penalty",
        CONSTRAINTS,
        "create_graph=differentiable",
        "create_graph=False",
        f"{IN_CONSTRAINTS}::test_penalty_gradient_in_the_weights_agrees_with_finite_differences",
    ),
    Bug(
        "fakes not detached",
        STEPS,
        "with torch.no_grad(), reduced(latents[0].device, precision):",
        "with reduced(latents[0].device, precision):",
        f"{IN_STEPS}::test_a_critic_step_builds_no_graph_through_the_generator",
    ),
    Bug(
        "square root of zero in the norm",
        CONSTRAINTS,
        "torch.linalg.vector_norm(_full_precision(gradients).flatten(1), dim=1)",
        "gradients.flatten(1).square().sum(1).sqrt()",
        f"{IN_CONSTRAINTS}::test_constant_critic_gives_a_finite_penalty_and_finite_gradients",
    ),
    Bug(
        "batch size baked in",
        CONSTRAINTS,
        "weight_shape = (share.of * len(real),)",
        "weight_shape = (64,)",
        f"{IN_CONSTRAINTS}::test_penalty_takes_a_last_batch_of_7_and_1_or_4_channels",
    ),
    Bug(
        "three channels baked in",
        CONSTRAINTS,
        "torch.linalg.vector_norm(_full_precision(gradients).flatten(1), dim=1)",
        "torch.linalg.vector_norm(gradients.reshape(-1, 18), dim=1)",
        f"{IN_CONSTRAINTS}::test_penalty_takes_a_last_batch_of_7_and_1_or_4_channels",
    ),
    Bug(
        "sum instead of mean over the batch",
        CONSTRAINTS,
        "self.cost(slopes).mean()",
        "self.cost(slopes).sum()",
        f"{IN_CONSTRAINTS}::test_penalty_of_a_linear_critic_has_its_closed_form_for_every_batch_size_and_rank",
    ),
    Bug(
        "a half on the penalty alone",
        CONSTRAINTS,
        "return self.weight * self.cost",
        "return 0.5 * self.weight * self.cost",
        f"{IN_CONSTRAINTS}::test_penalty_of_a_linear_critic_has_its_closed_form_for_every_batch_size_and_rank",
    ),
    Bug(
        "the penalty in half precision",
        CONSTRAINTS,
        "return values if values.dtype == torch.float64 else values.float()",
        "return values",
        f"{IN_CONSTRAINTS}::test_penalty_of_half_precision_batches_is_float32_and_within_one_percent",
    ),
    Bug(
        "the norm taken in half precision",
        CONSTRAINTS,
        "_full_precision(gradients).flatten(1)",
        "gradients.bfloat16().flatten(1)",
        f"{IN_CONSTRAINTS}::test_penalty_of_half_precision_batches_is_float32_and_within_one_percent",
    ),
    Bug(
        "the one-sided penalty counts slopes under one",
        CONSTRAINTS,
        "(slopes - 1).clamp_min(0).square()",
        "(slopes - 1).square()",
        f"{IN_CONSTRAINTS}::test_one_sided_penalty_is_free_below_slope_one_and_two_sided_is_not",
    ),
    Bug(
        "the two-sided penalty forgives slopes under one",
        CONSTRAINTS,
        "return (slopes - 1).square()",
        "return (slopes - 1).clamp_min(0).square()",
        f"{IN_CONSTRAINTS}::test_one_sided_penalty_is_free_below_slope_one_and_two_sided_is_not",
    ),
    Bug(
        "the penalty stepped on its own",
        STEPS,
        '        total = total + loss.penalty_factor * statistics["penalty"]\n    total.backward()\n',
        '        statistics["penalty"].backward()\n        for each in critic.parameters():\n'
        "            each.data -= 0.01 * each.grad\n            each.grad = None\n    total.backward()\n",
        f"{IN_STEPS}::test_each_critic_step_is_exactly_one_update_of_loss_and_penalty_together",
    ),
    Bug(
        "a penalty on some steps alone, without their share of the weight",
        STEPS,
        'total + loss.penalty_factor * statistics["penalty"]',
        'total + statistics["penalty"]',
        f"{IN_STEPS}::test_a_penalty_on_every_second_step_counts_twice",
    ),
    # Critic
    Bug(
        "batch normalisation accepted under a penalty",
        CONSTRAINTS,
        "            nn.modules.batchnorm._BatchNorm,\n            why",
        "            nn.Bilinear,\n            why",
        f"{IN_CONSTRAINTS}::test_batch_norm_is_refused_under_a_penalty_and_named",
    ),
    Bug(
        "a squashing head accepted",
        "networks/checks.py",
        "if leaves and isinstance(leaves[-1], _SQUASHING):",
        "if False:",
        "networks/test_checks.py::test_a_critic_with_a_squashing_head_is_refused",
    ),
    Bug(
        "a squashing head in our own critic",
        "networks/mlp.py",
        "torch.squeeze(self.body(beside(samples.flatten(1), context)), 1)",
        "torch.sigmoid(torch.squeeze(self.body(beside(samples.flatten(1), context)), 1))",
        "networks/test_contract.py::test_no_squashing_scores_scale_with_the_last_layer",
    ),
    Bug(
        "averaging over the batch accepted",
        "networks/checks.py",
        "if scores.shape not in (",
        "if scores.shape not in ((), ",
        "networks/test_checks.py::test_a_critic_that_averages_over_the_batch_is_refused",
    ),
    Bug(
        "samples coupled in our own critic",
        "networks/conv.py",
        "return nn.GroupNorm(1, channels)",
        "return nn.BatchNorm2d(channels)",
        "networks/test_contract.py::test_a_score_does_not_depend_on_the_other_samples",
    ),
    Bug(
        "an unconstrained Wasserstein critic accepted",
        TRAINER,
        "if objective.needs_lipschitz and not constraint.lipschitz:",
        "if False:",
        f"{IN_TRAINER}::test_an_unconstrained_wasserstein_critic_is_refused_with_the_reason",
    ),
    Bug(
        "spectral norm not on the last layer",
        LIPSCHITZ,
        "for module in list(network.modules()):",
        "for module in list(network.modules())[:-1]:",
        "lipschitz/test_spectral.py::test_every_weight_the_last_one_included_has_spectral_norm_one_after_warm_up",
    ),
    Bug(
        "power iteration frozen",
        LIPSCHITZ,
        "step.advance(module.original, iterations=ITERATIONS_PER_STEP)",
        "pass",
        "lipschitz/test_spectral.py::test_power_iteration_follows_the_weights_through_training",
    ),
    Bug(
        "power iteration moved by every forward pass",
        LIPSCHITZ,
        "        # Copies, since a later",
        "        self.advance(weight)\n        # Copies, since a later",
        "lipschitz/test_spectral.py::test_forward_passes_leave_the_power_iteration_alone",
    ),
    Bug(
        "power iteration moved in evaluation",
        LIPSCHITZ,
        "        # Copies, since a later",
        "        if not self.training:\n            self.advance(weight)\n        # Copies, since a later",
        "lipschitz/test_spectral.py::test_forward_passes_leave_the_power_iteration_alone",
    ),
    Bug(
        "u and v missing from the state",
        LIPSCHITZ,
        'self.register_buffer("right", start)',
        'self.register_buffer("right", start, persistent=False)',
        "lipschitz/test_spectral.py::test_state_dict_round_trip_keeps_scores_and_power_iteration",
    ),
    Bug(
        "the norm kept out of the gradient",
        LIPSCHITZ,
        "return weight / sigma",
        "return weight / sigma.detach()",
        "lipschitz/test_spectral.py::test_the_gradient_passes_through_the_norm",
    ),
    Bug(
        "the slope not logged as it truly is",
        TRAINER,
        "input_slopes(critic_given(self.critic, told), points_between(real, fake, rng))",
        "input_slopes(critic_given(self.critic, told), points_between(real, fake, rng)).clamp_max(1)",
        f"{IN_TRAINER}::test_held_out_gap_and_slopes_are_those_of_a_known_critic",
    ),
    # Conditions
    Bug(
        "conditions perturbed by the penalty",
        "training/closed_form.py",
        "(deltas[0][scored:] @ weights[0][:, :free])",
        "(deltas[0][scored:] @ weights[0])",
        "training/test_closed_form.py::test_conditions_are_scored_and_not_perturbed",
    ),
    Bug(
        "a penalty's slope pushed through the conditions",
        "training/closed_form.py",
        "        inputs[0][first:, pushed.shape[1] :] = 0  # conditions are not perturbed\n",
        "",
        "training/test_closed_form.py::test_conditions_are_scored_and_not_perturbed",
    ),
    Bug(
        "fakes under other conditions than the real samples",
        TRAINER,
        "latents = [self._latent(context) for _, context in batches]",
        "latents = [self._latent(batches[0].context) for _ in batches]",
        "training/test_conditional.py::test_fakes_are_drawn_and_scored_under_the_conditions_of_the_real_samples",
    ),
    Bug(
        "what is left open drawn from all rows",
        "data/tables/context.py",
        "np.flatnonzero(distance <= limit)",
        "np.arange(len(distance))",
        "data/tables/test_context.py::test_what_is_left_open_goes_with_what_is_given",
    ),
    Bug(
        "conditions that hang on the batch",
        "data/tables/context.py",
        "        stream.advance(start)\n",
        "",
        "data/tables/test_context.py::"
        "test_drawn_conditions_have_the_law_of_the_training_rows_and_do_not_hang_on_the_batch",
    ),
    Bug(
        "only the first condition works",
        "data/tables/source.py",
        "chosen = [places[name] for name in names]",
        "chosen = [places[name] for name in names[:1]] * len(names)",
        "data/tables/test_context.py::test_conditions_have_no_place_in_model_space_and_come_back_exactly",
    ),
    # Clipping
    Bug(
        "clipping before the optimiser's step",
        STEPS,
        "    optimizer.step()\n    constraint.project(critic)\n",
        "    constraint.project(critic)\n    optimizer.step()\n",
        f"{IN_STEPS}::test_the_critic_is_clipped_when_the_step_ends",
    ),
    Bug(
        "no clipping, as the generator sees it",
        STEPS,
        "    constraint.project(critic)\n",
        "",
        f"{IN_TRAINER}::test_the_generator_always_meets_a_clipped_critic",
    ),
    Bug(
        "running statistics clipped",
        CONSTRAINTS,
        "parameters: list[Tensor] = list(critic.parameters())",
        "parameters: list[Tensor] = [each for each in critic.state_dict().values() if each.is_floating_point()]",
        f"{IN_CONSTRAINTS}::test_clipping_bounds_every_parameter_and_leaves_running_statistics_alone",
    ),
    # Loop
    Bug(
        "the same real batch for all critic steps",
        TRAINER,
        "batches = tuple(self._real() for _ in range(self.critic_steps))",
        "batches = (self._real(),) * self.critic_steps",
        f"{IN_TRAINER}::test_each_generator_step_has_its_own_critic_steps_on_distinct_real_batches_over_three_epochs",
    ),
    Bug(
        "the same noise for critic and generator",
        TRAINER,
        "        whole = torch.randn(self.batch_size, self.latent_dim, generator=self._latent_rng, device=self.device)",
        "        rng = torch.Generator().manual_seed(self.step)\n"
        "        whole = torch.randn(self.batch_size, self.latent_dim, generator=rng, device=self.device)",
        f"{IN_TRAINER}::test_every_step_has_fresh_noise",
    ),
    Bug(
        "critic steps given to the generator",
        TRAINER,
        "            self._statistics.add(self._critic_step(real, fake, penalty_factor=factor, rng=rng))\n"
        "        self._statistics.add(self._generator_step(last, turn.batches[-1].context))\n",
        "            self._statistics.add(self._generator_step(last, real.context))\n"
        "        self._statistics.add(self._critic_step(real, fake, penalty_factor=factor, rng=rng))\n",
        f"{IN_TRAINER}::test_each_generator_step_has_its_own_critic_steps_on_distinct_real_batches_over_three_epochs",
    ),
    Bug(
        "the last partial batch skipped",
        "training/batches.py",
        "        epoch, start = divmod(first, count)\n",
        "        count = count // self._batch_size * self._batch_size\n        epoch, start = divmod(first, count)\n",
        "training/test_batches.py::test_each_epoch_serves_every_training_row_once_in_full_batches",
    ),
    Bug(
        "the last partial batch served short",
        "training/batches.py",
        "return [(epoch, start, count), (epoch + 1, 0, stop - count)]",
        "return [(epoch, start, count)]",
        "training/test_batches.py::test_each_epoch_serves_every_training_row_once_in_full_batches",
    ),
    Bug(
        "a data set smaller than the batch accepted",
        "training/batches.py",
        "if source.train_count < 2 * batch_size:",
        "if False:",
        "training/test_batches.py::test_fewer_samples_than_two_batches_need_are_refused",
    ),
    Bug(
        "held-out rows trained on",
        "data/source.py",
        "return Split(train=order[held:].sort().values",
        "return Split(train=order.sort().values",
        "data/test_source.py::test_each_row_is_either_trained_on_or_held_out",
    ),
    Bug(
        "held-out rows read for training",
        "data/source.py",
        "return self._encode(self.split.train_rows(positions))",
        "return self._encode(positions)",
        "training/test_batches.py::test_held_out_rows_are_never_read_for_training",
    ),
    Bug(
        "critic weights trainable in the generator's step",
        STEPS,
        "with frozen(critic), reduced(latent.device, precision):",
        "with reduced(latent.device, precision):",
        f"{IN_STEPS}::test_a_generator_step_gives_the_critic_no_gradient_and_leaves_it_trainable",
    ),
    Bug(
        "the penalty folded into the logged scores",
        STEPS,
        '"fake_mean": fake_scores.mean()}',
        '"fake_mean": fake_scores.mean() + statistics.get("penalty", 0)}',
        f"{IN_STEPS}::test_scores_are_raw_with_real_above_fake_and_the_penalty_is_apart",
    ),
    Bug(
        "the sign of the gap",
        "objectives.py",
        "return real_scores.mean() - fake_scores.mean()",
        "return fake_scores.mean() - real_scores.mean()",
        "test_objectives.py::test_critic_loss_is_fake_minus_real_and_the_gap_its_negative",
    ),
    Bug(
        "the sign of the critic's loss",
        "objectives.py",
        "    return fake_scores.mean() - real_scores.mean()",
        "    return real_scores.mean() - fake_scores.mean()",
        f"{IN_STEPS}::test_a_critic_step_widens_the_gap_on_a_separable_toy",
    ),
    Bug(
        "the sign of the generator's loss",
        "objectives.py",
        "return -fake_scores.mean()",
        "return fake_scores.mean()",
        f"{IN_STEPS}::test_a_generator_step_moves_the_fakes_to_higher_scores",
    ),
    Bug(
        "a value read from the device in every step",
        STEPS,
        "return {name: value.detach() for name, value in statistics.items()}",
        "return {name: torch.tensor(value.item()) for name, value in statistics.items()}",
        f"{IN_STEPS}::test_no_value_is_read_from_the_device_within_a_step",
    ),
    Bug(
        "memory that grows step by step",
        TRAINER,
        "            self.step += 1\n",
        '            self.step += 1\n            self.__dict__.setdefault("kept", []).append(self._latent())\n',
        f"{IN_TRAINER}::test_no_tensor_is_left_behind_by_a_step",
    ),
    Bug(
        "graphs kept with the statistics",
        STEPS,
        "return {name: value.detach() for name, value in statistics.items()}",
        "return statistics",
        f"{IN_STEPS}::test_statistics_carry_no_graph",
    ),
    Bug(
        "the schedule stepped per critic step",
        TRAINER,
        "factor = self._rate_factor(self.step)",
        "factor = self._rate_factor(self.step * self.critic_steps)",
        f"{IN_TRAINER}::test_rates_follow_the_generator_step_and_survive_a_resume",
    ),
    Bug(
        "the schedule lost on resume",
        TRAINER,
        'self.step = state["step"]',
        "self.step = 0",
        f"{IN_TRAINER}::test_rates_follow_the_generator_step_and_survive_a_resume",
    ),
    # Generator and sampling
    Bug(
        "averaged weights without buffers",
        "training/averaging.py",
        "            kept.copy_(live)",
        "            pass",
        "training/test_averaging.py::test_buffers_are_copied_counters_included",
    ),
    Bug(
        "counters and buffers averaged",
        "training/averaging.py",
        "            kept.copy_(live)",
        "            kept.copy_((kept * (1 - weight) + live * weight).to(kept.dtype))",
        "training/test_averaging.py::test_buffers_are_copied_counters_included",
    ),
    Bug(
        "sampling in train mode",
        TRAINER,
        "        with torch.no_grad(), nullcontext() if ready else evaluating(generator):\n            samples",
        "        generator.train()\n        with torch.no_grad():\n            samples",
        f"{IN_TRAINER}::test_samples_do_not_depend_on_how_they_are_batched",
    ),
    Bug(
        "samples of a small count unlike the first of a large one",
        TRAINER,
        "torch.randn(SAMPLING_CHUNK, latent_dim, generator=rng)",
        "torch.randn(min(count, SAMPLING_CHUNK), latent_dim, generator=rng)",
        "test_sampling.py::test_a_smaller_count_gives_the_first_samples_of_a_larger",
    ),
    Bug(
        "samples drawn whole instead of streamed",
        "sampling.py",
        "        for start, chunk in chain([first] if first else [], chunks):",
        "        for start, chunk in list(chain([first] if first else [], chunks)):",
        "test_sampling.py::test_each_chunk_is_written_before_the_next_is_drawn",
    ),
    Bug(
        "grids scaled to their own range",
        "plots/pictures.py",
        "scaled = np.clip((samples - low) / (high - low), 0, 1)",
        "scaled = (samples - samples.min()) / max(float(np.ptp(samples)), 1e-9)",
        "test_plots.py::test_a_sample_looks_the_same_in_every_grid",
    ),
    Bug(
        "grey levels cut off instead of rounded",
        "data/codec.py",
        "values.round_()",
        "values.trunc_()",
        "data/test_codec.py::test_every_grey_level_survives_and_values_outside_are_clamped",
    ),
    Bug(
        "previews that draw from the training's noise",
        TRAINER,
        "chunks = sample_chunks(\n            self.averaged_generator",
        "self._latent(None)\n        chunks = sample_chunks(\n            self.averaged_generator",
        f"{IN_TRAINER}::test_looking_and_drawing_on_the_way_do_not_change_the_weights",
    ),
    Bug(
        "measurements that draw from the penalty's stream",
        TRAINER,
        'rng = derived_rng(self._seed, "measurement", device=self.device)',
        "rng = self._penalty_rng",
        f"{IN_TRAINER}::test_looking_and_drawing_on_the_way_do_not_change_the_weights",
    ),
    Bug(
        "training that draws from the global random state",
        TRAINER,
        "            torch.set_rng_state(outside)",
        "            pass",
        f"{IN_TRAINER}::test_building_training_looking_and_sampling_leave_the_global_random_state_alone",
    ),
    # Resume: anything missing
    *(
        Bug(f"resume without {part}", TRAINER, sound, broken, test)
        for part, sound, broken, test in (
            ("the generator", 'self.generator.load_state_dict(state["generator"])', "pass", RESUMED),
            ("the critic", 'self.critic.load_state_dict(state["critic"])', "pass", RESUMED),
            ("the averaged weights", 'self._average.module.load_state_dict(state["average"])', "pass", RESUMED),
            (
                "the generator's optimiser",
                'self._generator_optimizer.load_state_dict(state["generator_optimizer"])',
                "pass",
                RESUMED,
            ),
            (
                "the critic's optimiser",
                'self._critic_optimizer.load_state_dict(state["critic_optimizer"])',
                "pass",
                RESUMED,
            ),
            ("the position in the data", 'self._batches.load_state_dict(state["batches"])', "pass", RESUMED),
            ("the latent stream", 'self._latent_rng.set_state(state["latent_rng"].cpu())', "pass", RESUMED),
            ("the penalty's stream", 'self._penalty_rng.set_state(state["penalty_rng"].cpu())', "pass", RESUMED),
            ("the step", 'self.step = state["step"]', "self.step = 0", RESUMED),
            (
                "the ambient random state",
                'derived_seed(self._seed, "ambient", self.step, self.processes.rank)',
                "torch.seed() >> 1",
                f"{IN_TRAINER}::test_a_module_that_draws_from_the_global_state_resumes_bit_for_bit_too",
            ),
            (
                "the statistics",
                'self._statistics.load_state_dict(state["statistics"])',
                "pass",
                f"{IN_TRAINER}::test_statistics_go_on_over_a_resume",
            ),
            (
                "the seconds",
                'self.seconds = state["seconds"]',
                "pass",
                f"{IN_TRAINER}::test_seconds_go_on_over_a_resume",
            ),
        )
    ),
    Bug(
        "resume without the best score",
        "runs.py",
        'Best(**content["best"])',
        "Best()",
        "test_runs.py::test_the_best_score_survives_a_resume",
    ),
    Bug(
        "resume with other settings accepted",
        "runs.py",
        "    if different:\n",
        "    if False:\n",
        "test_runs.py::test_other_settings_are_refused_with_the_difference",
    ),
    Bug(
        "latents that are the numbers of the first weights",
        "training/trainer.py",
        'derived_rng(seed, "sampling")',
        "torch.Generator().manual_seed(seed)",
        f"{IN_TRAINER}::test_latents_are_not_the_numbers_that_weights_of_the_same_seed_were_made_of",
    ),
    Bug(
        "parameters without a gradient counted",
        "training/optimizers.py",
        "            for number in moving:\n                self._steps[number].add_(1)\n",
        "            self._counts.add_(1)\n",
        "training/test_optimizers.py::test_parameters_without_a_gradient_stay_and_do_not_count",
    ),
    Bug(
        "states of other optimisers taken",
        "training/optimizers.py",
        "if states[number][name].shape != place.shape:",
        "if False:",
        "training/test_optimizers.py::test_states_of_other_parameters_are_refused",
    ),
    Bug(
        "resume with other data accepted",
        "fingerprints.py",
        "if not was_trained_on(content, source):",
        "if False:",
        "test_runs.py::test_other_data_are_refused_and_moved_data_are_not",
    ),
    Bug(
        "checksums not verified",
        "training/checkpoint.py",
        "if damaged is not None:",
        "if False:",
        "training/test_checkpoint.py::test_a_flipped_bit_in_the_weights_is_caught_by_the_checksum",
    ),
    Bug(
        "resume silently restarts from zero",
        "runs.py",
        '    trainer.load_state_dict(content["trainer"])\n',
        "",
        "test_runs.py::test_a_resumed_run_starts_at_its_checkpoint_not_from_zero",
    ),
    Bug(
        "a checkpoint that can run code",
        "training/checkpoint.py",
        "weights_only=True",
        "weights_only=False",
        "training/test_checkpoint.py::test_a_file_that_would_run_code_is_refused_and_does_not",
    ),
    Bug(
        "an array that can run code",
        "data/arrays.py",
        'mmap_mode="r", allow_pickle=False',
        "mmap_mode=None, allow_pickle=True",
        "data/test_arrays.py::test_hostile_pickles_never_run",
    ),
    Bug(
        "checkpoints written in place",
        "training/checkpoint.py",
        'torch.save({"format": FORMAT, "version": VERSION, **content}, temporary)',
        'torch.save({"format": FORMAT, "version": VERSION, **content}, path); temporary.touch()',
        "training/test_checkpoint.py::test_torch_s_own_report_of_a_full_disk_is_told_as_one",
    ),
    Bug(
        "temporary files left behind",
        "files.py",
        "        temporary.unlink(missing_ok=True)\n        raise WorkError(",
        "        raise WorkError(",
        "test_files.py::test_a_full_disk_is_told_and_nothing_temporary_is_left",
    ),
    Bug(
        "weights that are not finite saved",
        TRAINER,
        "if not all(torch.isfinite(parameter).all() for parameter in network.parameters()):",
        "if False:",
        f"{IN_TRAINER}::test_weights_that_are_not_finite_are_caught_before_they_are_handed_on",
    ),
    Bug(
        "losses that are not finite ignored",
        TRAINER,
        "        if broken:\n",
        "        if False:\n",
        f"{IN_TRAINER}::test_divergence_stops_before_the_next_tick_and_names_what_broke",
    ),
    Bug(
        "one seed for every network",
        "networks/__init__.py",
        "torch.manual_seed(seed)",
        "torch.manual_seed(0)",
        "networks/test_contract.py::test_same_seed_same_weights_other_seed_other_weights_and_the_global_state_stays",
    ),
    Bug(
        "a run overwritten",
        "runs.py",
        "    if place.holds_run():\n",
        "    if False:\n",
        "test_runs.py::test_a_folder_that_holds_something_is_never_written_to",
    ),
    # Metrics
    Bug(
        "the best of a run reported as the final",
        "runfolder.py",
        "last = log[-1] if log else {}",
        'last = min(log, key=lambda record: record["sliced_w1"]) if log else {}',
        "test_runs.py::test_the_summary_tells_the_final_from_the_best",
    ),
    Bug(
        "settings stored as given instead of resolved",
        "runs.py",
        "described = asdict(run.settings) | {",
        "described = asdict(TrainSettings()) | {",
        "test_runs.py::test_the_folder_holds_what_it_promises",
    ),
    # Processes
    Bug(
        "gradients summed instead of averaged over processes",
        DISTRIBUTED,
        "flat = self.average(torch.cat([each.flatten() for each in gradients]))",
        "flat = self.count * self.average(torch.cat([each.flatten() for each in gradients]))",
        TWO_ARE_ONE,
    ),
    Bug(
        "the critic's gradients not averaged over processes",
        STEPS,
        "    processes.average_gradients(critic)\n",
        "",
        TWO_ARE_ONE,
    ),
    Bug(
        "the same rows and noise in every process",
        CONSTRAINTS,
        "return whole.tensor_split(self.of)[self.index]",
        "return whole.tensor_split(self.of)[0]",
        TWO_ARE_ONE,
    ),
    Bug(
        "mixing weights of its own in every process, from one seed",
        CONSTRAINTS,
        "points_between(real.detach(), fake.detach(), rng, self.share)",
        "points_between(real.detach(), fake.detach(), rng)",
        TWO_ARE_ONE,
    ),
    Bug(
        "mixing weights of its own in every process, from one seed, in closed form",
        "training/closed_form.py",
        "points_between(real, fake, loss.rng, loss.constraint.share)",
        "points_between(real, fake, loss.rng)",
        TWO_ARE_ONE,
    ),
    Bug(
        "batch normalisation over a process's own rows",
        DISTRIBUTED,
        "        return processes.average(values)\n",
        "        return values.clone()\n",
        TWO_ARE_ONE,
    ),
    Bug(
        "no gradient through the other processes' batch statistics",
        DISTRIBUTED,
        "return ctx.processes.average(gradient), None",
        "return gradient, None",
        TWO_ARE_ONE,
    ),
    Bug(
        "one process's statistics logged for all",
        TRAINER,
        "        self._statistics.average(self.processes.average)\n",
        "",
        TWO_ARE_ONE,
    ),
    Bug(
        "weights that differ between processes go unseen",
        DISTRIBUTED,
        "            if different:\n",
        "            if False:\n",
        f"{IN_DISTRIBUTED}::test_weights_that_differ_are_found_at_the_next_tick",
    ),
    Bug(
        "each process ends by its own clock",
        TRAINER,
        "finished, saving = self.processes.any_of(finished or interrupted(), save_due())",
        "finished, saving = finished or interrupted(), save_due()",
        f"{IN_DISTRIBUTED}::test_an_interruption_of_one_stops_all_at_the_same_step_with_a_tick",
    ),
    Bug(
        "a restart goes on with anybody's run",
        "runs.py",
        "    if place.launched_by(processes.launch):\n",
        "    if processes.launch and place.holds_run():\n",
        "test_runs.py::test_a_restart_never_touches_a_run_that_its_torchrun_did_not_start",
    ),
    # Data
    Bug(
        "transparent pictures lose their alpha",
        "data/images.py",
        "flat = _on_white(upright)",
        "flat = upright",
        "data/test_images.py::test_transparent_parts_are_laid_on_white",
    ),
    Bug(
        "pictures left on their side",
        "data/images.py",
        "ImageOps.exif_transpose(picture)",
        "picture",
        "data/test_images.py::test_pictures_are_turned_upright",
    ),
    Bug(
        "sixteen-bit greys cut off",
        "data/images.py",
        'if not picture.mode.startswith("I"):',
        "if True:",
        "data/test_images.py::test_sixteen_bit_pictures_keep_their_greys",
    ),
    Bug(
        "statistics from the held-out rows too",
        "data/arrays.py",
        "array, split.train.numpy(), layout=layout",
        "array, None, layout=layout",
        "data/test_arrays.py::test_statistics_are_those_of_numpy_over_the_training_rows",
    ),
    # Closed form
    Bug(
        "the penalty pushed through without the activations' slopes",
        "training/closed_form.py",
        "leaky_relu_backward_into(product, before[first:], slope, False, grad_input=made[first:])",
        "made[first:] = nn.functional.leaky_relu(product, slope)",
        "training/test_closed_form.py::test_gradients_are_those_of_autograd",
    ),
    Bug(
        "biases pulled by the penalty",
        "training/closed_form.py",
        "layer.bias.grad = delta[:scored].sum(0, dtype=real.dtype)",
        "layer.bias.grad = delta.sum(0, dtype=real.dtype)",
        "training/test_closed_form.py::test_gradients_are_those_of_autograd",
    ),
    Bug(
        "a constraint of the user's own replaced by the closed form",
        "training/closed_form.py",
        "type(constraint) not in CONSTRAINTS",
        "not isinstance(constraint, CONSTRAINTS)",
        f"{IN_TRAINER}::test_a_sparse_penalty_acts_on_every_kth_critic_step_across_generator_steps_and_resumes",
    ),
    Bug(
        "the penalty's adjoint without the curvature of the normalisation",
        "training/conv_form.py",
        "adjoint[between] += each.curve",
        "adjoint[between] += 0 * each.curve",
        "training/test_conv_form.py::test_gradients_are_those_of_autograd",
    ),
    Bug(
        "the scale of the normalisation not pulled by the penalty",
        "training/conv_form.py",
        "by_norm[0].add_((each.delta_normed * each.tangent_normed).sum(0))",
        "by_norm[0].add_(0)",
        "training/test_conv_form.py::test_gradients_are_those_of_autograd",
    ),
    Bug(
        "weights of convolutions not pulled by the penalty's tangents",
        "training/conv_form.py",
        "kernel += each.convolution.by_kernel(each.tangent, each.deltas)",
        "kernel += 0 * each.convolution.by_kernel(each.tangent, each.deltas)",
        "training/test_conv_form.py::test_gradients_are_those_of_autograd",
    ),
    Bug(
        "taps of windows in the order of patches",
        "training/convolutions.py",
        ".flip(1, 3).permute(2, 1, 3, 0, 4)",
        ".permute(2, 1, 3, 0, 4)",
        "training/test_convolutions.py::test_a_convolution_and_its_adjoints_are_pytorch_s",
    ),
    Bug(
        "sums of patches rounded one by one",
        "training/convolutions.py",
        "self._onto_few = kernel.shape[1] // 16 < FEW_CHANNELS",
        "self._onto_few = True",
        "training/test_convolutions.py::test_in_bfloat16_only_what_comes_out_is_rounded",
    ),
    Bug(
        "the last odd column left out of a transposed convolution",
        "training/convolutions.py",
        "pixels.copy_(whole[:, 1 : height + 1, 1 : width + 1])",
        "pixels[:, :, : 2 * columns].copy_(whole[:, 1 : height + 1, 1 : 2 * columns + 1])",
        "training/test_convolutions.py::test_a_convolution_and_its_adjoints_are_pytorch_s",
    ),
    Bug(
        "inputs without deltas counted over patches",
        "training/convolutions.py",
        "given[: len(rows)]).to(",
        "given[-len(rows) :]).to(",
        "training/test_convolutions.py::test_the_gradient_by_the_kernel_is_that_of_as_many_inputs_as_there_are_deltas",
    ),
    Bug(
        "memory of a step given back at once",
        TRAINER,
        "    @freed_memory_kept()\n",
        "",
        "training/test_memory.py::test_training_keeps_what_its_steps_free",
    ),
    Bug(
        "memory kept after training",
        "training/memory.py",
        "for parameter, size in USUAL.items():",
        "for parameter, size in KEPT.items():",
        "training/test_memory.py::test_what_was_freed_is_taken_again_and_given_back_at_the_end",
    ),
    Bug(
        "the user's own thresholds overwritten",
        "training/memory.py",
        " or any(name in os.environ for name in USERS_OWN)",
        "",
        "training/test_memory.py::test_thresholds_of_the_user_stay",
    ),
    Bug(
        "tiles that overlap by one block set instead of summed",
        "training/winograd.py",
        "even.narrow(axis, 1, count).add_(products[2])",
        "even.narrow(axis, 1, count).copy_(products[2])",
        "training/test_convolutions.py::test_a_convolution_and_its_adjoints_are_pytorch_s",
    ),
    Bug(
        "deltas of an odd side not padded",
        "training/winograd.py",
        "padded[:, : self._made[0], : self._made[1]] = values",
        "padded[:, -self._made[0] :, -self._made[1] :] = values",
        "training/test_convolutions.py::test_a_convolution_and_its_adjoints_are_pytorch_s",
    ),
    Bug(
        "inputs without deltas counted in the kernel's gradient",
        "training/winograd.py",
        "given[:, : deltas.shape[1]])",
        "given[:, -deltas.shape[1] :])",
        "training/test_convolutions.py::test_the_gradient_by_the_kernel_is_that_of_as_many_inputs_as_there_are_deltas",
    ),
    Bug(
        "samples written one chunk after the other, whatever their place",
        "sampling.py",
        "file.seek(offset + start * chunk[0].nbytes)",
        "file.seek(offset)",
        "test_sampling.py::test_samples_of_an_array_file_are_those_that_are_drawn",
    ),
    Bug(
        "RMSprop corrected like Adam",
        "training/optimizers.py",
        "first_step=FAR_STEP",
        "first_step=0",
        "training/test_optimizers.py::test_updates_are_those_of_pytorch_s_own_optimiser",
    ),
    # Transport
    Bug(
        "c-transform forgets the groups that it left out",
        "distances/cells.py",
        "for left_out in (lowest, rough):",
        "for left_out in (rough,):",
        "distances/test_cells.py::test_what_single_precision_cannot_tell_apart_is_looked_at_again",
    ),
    Bug(
        "c-transform forgets the columns that it left out",
        "distances/cells.py",
        "for left_out in (lowest, rough):",
        "for left_out in (lowest,):",
        "distances/test_cells.py::test_what_single_precision_cannot_tell_apart_is_looked_at_again",
    ),
    # Data larger than memory
    Bug(
        "held-out rows not left out of streamed epochs",
        "data/source.py",
        "return positions + torch.searchsorted(self._before, positions, right=True)",
        "return positions",
        "data/test_blocks.py::test_each_row_is_served_once_per_epoch_or_held_out_and_comes_as_it_is",
    ),
    Bug(
        "rows of a window served in the order of the file",
        "training/order.py",
        "return positions[torch.randperm(len(positions), generator=rng)]",
        "return positions",
        "data/test_blocks.py::test_rows_are_mixed_across_many_blocks",
    ),
    Bug(
        "a third window read ahead",
        "training/order.py",
        "if len(windows) == 1:",
        "if True:",
        "training/test_order.py::test_after_the_last_window_comes_the_first_of_the_next_epoch",
    ),
    Bug(
        "NaN in streamed rows not looked for",
        "data/blocks.py",
        'if rows.dtype.kind == "f" and not np.isfinite(rows).all():',
        "if False:",
        "data/test_blocks.py::test_a_bad_value_in_the_middle_is_named_when_it_is_read",
    ),
    Bug(
        "sizes in a tar file's headers believed",
        "data/shards.py",
        "if size < 0 or start + size > total or",
        "if",
        "data/test_shards.py::test_hostile_headers_are_refused",
    ),
    # The page
    Bug(
        "names from the data run on the page",
        "report/page.py",
        "autoescape=True",
        "autoescape=False",
        "report/test_page.py::test_names_from_the_data_are_shown_and_not_run",
    ),
    Bug(
        "the page may load from the network",
        "report/page.html",
        "default-src 'none'",
        "default-src *",
        "report/test_page.py::test_the_page_is_whole_and_loads_nothing_from_the_network",
    ),
    Bug(
        "a thinned row of grids lacks its last",
        "report/page.py",
        "round(index * (len(paths) - 1) / (count - 1))",
        "index * len(paths) // count",
        "report/test_page.py::test_a_long_run_shows_grids_from_first_to_last_within_the_room",
    ),
    Bug(
        "lines switched off come back with another axis",
        "report/page.js",
        "visible: shown[index] ?? true",
        "visible: true",
        "report/test_browser.py::test_lines_are_switched_by_the_keyboard_and_stay_off",
    ),
    Bug(
        "one of several processes shuts its interpreter down",
        "__main__.py",
        "    os._exit(code)",
        "    sys.exit(code)",
        "cli/test_processes.py::test_one_of_several_processes_ends_without_shutting_the_interpreter_down",
    ),
    # Judging samples
    Bug(
        "biased covariance in the Fréchet distance",
        "evaluation/frechet.py",
        "self._scatter / (self.count - 1)",
        "self._scatter / self.count",
        "evaluation/test_frechet.py::test_covariances_are_unbiased_and_the_sizes_of_batches_do_not_matter",
    ),
    Bug(
        "moments of the last batch only",
        "evaluation/frechet.py",
        "self._scatter += batch.T @ batch + torch.outer(step, step) * (self.count * len(batch) / total)",
        "self._scatter += batch.T @ batch",
        "evaluation/test_frechet.py::test_covariances_are_unbiased_and_the_sizes_of_batches_do_not_matter",
    ),
    Bug(
        "kernel of a sample with itself counted",
        "evaluation/kernel.py",
        "square.sum(1) - square.diagonal()",
        "square.sum(1)",
        "evaluation/test_kernel.py::test_it_is_the_mean_over_pairs_of_distinct_samples",
    ),
    Bug(
        "kernel not scaled by the dimension",
        "evaluation/kernel.py",
        ".div_(left.shape[1])",
        "",
        "evaluation/test_kernel.py::test_it_agrees_with_torchmetrics",
    ),
    Bug(
        "a sample as its own neighbour",
        "evaluation/neighbours.py",
        "count=neighbours + 1",
        "count=neighbours",
        "evaluation/test_neighbours.py::test_the_metrics_are_those_of_their_definitions",
    ),
    Bug(
        "ties of distances left to rounding",
        "evaluation/nearest.py",
        "    if len(pairs):",
        "    if False:",
        "evaluation/test_nearest.py::test_few_doubtful_pairs_are_settled_one_by_one",
    ),
    Bug(
        "neighbours beyond the candidates forgotten",
        "evaluation/nearest.py",
        "if wanted < len(points):",
        "if False:",
        "evaluation/test_nearest.py::test_neighbours_of_tied_points_are_exact",
    ),
    Bug(
        "classifier tested on what it was trained on",
        "evaluation/twosample.py",
        "trees.fit(inputs[train], labels[train])",
        "trees.fit(inputs, labels)",
        "evaluation/test_twosample.py::test_samples_of_one_law_cannot_be_told_apart_and_disjoint_ones_always",
    ),
    Bug(
        "real and generated swapped in precision and recall",
        "evaluation/judge.py",
        "neighbour_metrics(real, fake, neighbours=NEIGHBOURS)",
        "neighbour_metrics(fake, real, neighbours=NEIGHBOURS)",
        "evaluation/test_judge.py::test_every_metric_has_its_floor_of_as_many_training_samples",
    ),
    Bug(
        "a floor of more samples than were generated",
        "evaluation/judge.py",
        "(each[: len(fake)] for each in others_taken)",
        "others_taken",
        "evaluation/test_judge.py::test_every_metric_has_its_floor_of_as_many_training_samples",
    ),
    Bug(
        "near copies measured by generated samples themselves",
        "evaluation/memorisation.py",
        "threshold = usual.quantile",
        "threshold = own.quantile",
        "evaluation/test_judge.py::test_copies_are_measured_by_held_out_distances_in_closed_form",
    ),
    Bug(
        "natural repetitions taken for memorising",
        "evaluation/memorisation.py",
        "flagged=copies > EXCESS + TIMES * natural",
        "flagged=copies > EXCESS",
        "evaluation/test_judge.py::test_data_that_repeat_themselves_are_no_reason_to_flag",
    ),
    Bug(
        "weights files that can run code",
        "evaluation/inception.py",
        "        _check(weights)",
        "        pass",
        "evaluation/test_features.py::test_what_is_wrong_with_inception_weights_is_said",
    ),
    Bug(
        "samples judged before they are rounded",
        "judging.py",
        "sampler.codec.encode(sampler.codec.decode(chunk)) for chunk",
        "chunk for chunk",
        "test_judging.py::test_samples_are_judged_as_they_are_handed_out",
    ),
    Bug(
        "other data judged on a scale of their own",
        "judging.py",
        'codec = replace(number_codec(case.source.codec, "wassergan evaluate"), layout=against.codec.layout)',
        "codec = against.codec",
        "test_judging.py::test_other_data_are_described_on_the_scale_of_the_run",
    ),
    Bug(
        "training rows listed by their place among those looked at",
        "judging.py",
        "int(rows[row])",
        "int(row)",
        "test_judging.py::test_rows_of_large_data_come_from_all_over",
    ),
    Bug(
        "best marked across different protocols",
        "comparison.py",
        'rows = [row | {"best": None} for row in rows]',
        "pass",
        "test_comparison.py::test_other_protocols_are_no_comparison",
    ),
    # Observers, export, looking
    Bug(
        "an observer that fails to close leaves the others open",
        "observers/observer.py",
        "                errors.append(error)\n",
        "                raise error\n",
        "observers/test_observer.py::test_all_are_closed_even_if_one_fails",
    ),
    Bug(
        "every process tells its observer",
        "runs.py",
        "if observer and processes.rank == 0 else []",
        "if observer else []",
        "observers/test_observer.py::test_of_several_processes_the_first_alone_tells_its_observer",
    ),
    Bug(
        "a resumed run shows later steps twice in TensorBoard",
        "observers/tensorboard.py",
        "purge_step=first",
        "purge_step=None",
        "observers/test_tensorboard.py::test_a_resumed_run_shows_every_step_once",
    ),
    Bug(
        "TensorBoard written though it is off",
        "keeping.py",
        "if wanted or (wanted is None and tensorboard_installed()):",
        "if tensorboard_installed():",
        "observers/test_tensorboard.py::test_what_is_off_is_off",
    ),
    Bug(
        "step 0 logged twice",
        "runs.py",
        "cut_after(run.trainer.step or -1)",
        "cut_after(run.trainer.step)",
        "test_runs.py::test_resuming_from_step_0_logs_it_once",
    ),
    Bug(
        "an exported generator in training mode",
        "export/formats.py",
        "copy.deepcopy(generator).cpu().eval()",
        "copy.deepcopy(generator).cpu()",
        "export/test_export.py::test_parametrisations_are_folded_away",
    ),
    Bug(
        "parametrisations folded to the raw weights",
        "export/formats.py",
        "leave_parametrized=True",
        "leave_parametrized=False",
        "export/test_export.py::test_parametrisations_are_folded_away",
    ),
    Bug(
        "the batch size baked into an exported file",
        "export/formats.py",
        'return ({0: torch.export.Dim("count", max=2**31 - 1)},)',
        "return ({},)  # type: ignore[return-value]",
        "export/test_export.py::test_the_file_computes_what_the_averaged_generator_does_for_any_count",
    ),
    Bug(
        "the exported decoder clips in model units",
        "export/description.py",
        "bounds = [(bound * codec.scale + codec.offset).tolist()",
        "bounds = [bound.tolist()",
        "export/test_export.py::test_the_guide_s_decoder_is_the_codec_for_every_value",
    ),
    Bug(
        "interpolation along a straight line",
        "looking.py",
        "return math.cos(math.pi / 2 * share) * start + math.sin(math.pi / 2 * share) * end",
        "return (1 - share) * start + share * end",
        "test_looking.py::test_every_point_of_a_path_is_as_likely_as_its_ends",
    ),
    Bug(
        "training samples shown as held out",
        "looking.py",
        "source.heldout(torch.arange(",
        "source.train(torch.arange(",
        "test_looking.py::test_rows_are_drawn_beside_the_held_out_ones",
    ),
    Bug(
        "each map with a scale of its own",
        "plots/fields.py",
        "axes.imshow(field, vmin=low, vmax=high, cmap",
        "axes.imshow(field, cmap",
        "plots/test_fields.py::test_all_maps_share_one_scale",
    ),
    Bug(
        "histograms of counts, not of shares",
        "plots/vectors.py",
        "axes.hist(samples, bins, density=True",
        "axes.hist(samples, bins, density=False",
        "plots/test_vectors.py::test_marginals_show_both_laws_with_equal_area_under_names",
    ),
    # Recorded turns
    Bug(
        "a replayed turn whose rates stay those of the recording",
        "training/optimizers.py",
        "lr=self.rate if self._rate_on_device is None else self._rate_on_device,",
        "lr=self.rate,",
        "training/test_graphs.py::test_replayed_steps_are_the_eager_ones_to_the_last_bit",
    ),
    Bug(
        "replayed turns not counted in the means",
        "training/graphs.py",
        "            self._statistics.count(record.counts)\n",
        "",
        "training/test_graphs.py::test_replayed_steps_are_the_eager_ones_to_the_last_bit",
    ),
    Bug(
        "replayed turns with the mixing weights of the recording",
        "training/graphs.py",
        "        record.drawn.draw()\n",
        "",
        "training/test_graphs.py::test_replayed_steps_are_the_eager_ones_to_the_last_bit",
    ),
    Bug(
        "what was recorded kept when a state is loaded",
        TRAINER,
        "            self._replays.forget()",
        "            pass",
        "training/test_graphs.py::test_a_state_that_is_loaded_into_a_trainer_that_has_recorded_is_followed",
    ),
    # Judging tables
    Bug(
        "copies of rows that many have count",
        "evaluation/tables/copies.py",
        "counts.get(row) == 1",
        "counts.get(row, 0) >= 1",
        "evaluation/tables/test_marginals.py::test_only_copies_of_rows_that_are_unique_count",
    ),
    Bug(
        "a level that is not there counts as one",
        "evaluation/tables/columns.py",
        "np.where(known, np.where(known, values, 0), count + 1)",
        "np.where(known, values, 0)",
        "evaluation/tables/test_marginals.py::test_total_variation_of_shifted_shares",
    ),
    Bug(
        "numbers with more decimals are sound",
        "evaluation/tables/columns.py",
        "        wrong |= off & ~gone\n",
        "        pass\n",
        "evaluation/tables/test_marginals.py::test_what_cannot_be_in_a_column",
    ),
    Bug(
        "missing values are left out of a category's shares",
        "evaluation/tables/marginals.py",
        "column.level_codes(each), minlength=count)",
        "column.level_codes(each[~np.isnan(each)]), minlength=count)",
        "evaluation/tables/test_marginals.py::test_total_variation_of_shifted_shares",
    ),
    Bug(
        "columns that are shuffled together",
        "evaluation/tables/columns.py",
        "np.stack([numbers.permutation(rows[:, place]) for place in range(rows.shape[1])], axis=1)",
        "numbers.permutation(rows)",
        "evaluation/tables/test_marginals.py::test_independent_rows_keep_every_marginal_and_no_pair",
    ),
    Bug(
        "Cramér's V without its correction",
        "evaluation/tables/pairs.py",
        "square - (rows - 1) * (columns - 1) / (total - 1)",
        "square",
        "evaluation/tables/test_pairs.py::test_cramers_v_agrees_with_scipy_s_chi_squared",
    ),
    Bug(
        "trees that see the column that they predict",
        "evaluation/tables/trees.py",
        "for place in range(len(columns)) if place != target.place]",
        "for place in range(len(columns))]",
        "evaluation/tables/test_trees.py::test_the_last_column_that_can_be_predicted_is_the_default",
    ),
    Bug(
        "trees that are scored on the rows they learnt from",
        "evaluation/tables/trees.py",
        "(inputs(tested), truth), seed)",
        "(inputs(learnt), wanted), seed)",
        "evaluation/tables/test_trees.py::test_the_labels_turned_round_are_an_area_below_one_half",
    ),
    Bug(
        "trees that tell rows apart are tested on what they know",
        "evaluation/tables/trees.py",
        "fit(seen[train], labels[train])",
        "fit(seen, labels)",
        "evaluation/tables/test_trees.py::test_equal_laws_are_not_told_apart_and_disjoint_ones_always",
    ),
    Bug(
        "more levels than trees take",
        "evaluation/tables/trees.py",
        "[:MOST_LEVELS] if levels",
        "if levels",
        "evaluation/tables/test_trees.py::test_trees_see_more_levels_than_scikit_learn_takes",
    ),
    Bug(
        "levels of another table in its own numbers",
        "data/tables/reading.py",
        "return _taken(own, found.values)",
        "return found.values",
        "test_judging_tables.py::test_another_table_is_read_in_the_numbers_of_the_run",
    ),
    Bug(
        "names of columns that the page runs",
        "report/page.py",
        "autoescape=True",
        "autoescape=False",
        "report/test_page.py::test_a_table_s_page_has_both_anchors_its_columns_and_plain_words_on_privacy",
    ),
    # Memory, and looks at the data
    Bug(
        "figures kept until Python looks for them",
        "plots/common.py",
        "    figure.clear()\n    del figure\n    gc.collect()\n",
        "",
        "test_memory.py::test_memory_is_flat_over_5000_steps_with_ticks_checkpoints_and_previews",
    ),
    Bug(
        "floors from the first training rows alone",
        "data/source.py",
        "chosen = np.random.default_rng(seed).choice(total, min(count, total), replace=False, shuffle=True)",
        "chosen = np.arange(min(count, total))",
        "data/test_source.py::test_training_rows_to_look_at_come_from_all_over",
    ),
    Bug(
        "held-out rows from the front of a sorted file",
        "evaluation/heldout.py",
        "source.heldout_positions(LARGEST_SAMPLE, seed=seed)",
        "torch.arange(min(LARGEST_SAMPLE, source.heldout_count))",
        "evaluation/test_heldout.py::test_sorted_rows_and_shuffled_ones_have_the_same_floor",
    ),
    Bug(
        "a decimal number that looks like a month taken for a date",
        "data/tables/date_finding.py",
        "    if _are_decimals(levels):  # 2.1999 is no February among numbers such as 2.3\n        return None\n",
        "",
        "data/tables/test_forms.py::test_decimals_are_numbers_even_where_some_look_like_months_of_a_year",
    ),
    # What the verdict says
    Bug(
        "what lies close to many training samples taken for a copy",
        "evaluation/memorisation.py",
        "(distances[:, 0] <= threshold) & (distances[:, 0] <= FAR_NEARER * distances[:, -1])",
        "distances[:, 0] <= threshold",
        "evaluation/test_judge.py::test_what_lies_near_many_training_samples_at_once_copies_none",
    ),
    Bug(
        "an excess of near copies that is not tested against chance",
        "evaluation/memorisation.py",
        "hypergeom.sf(copies - 1, samples + heldout, copies + natural, samples)",
        "0.0 * hypergeom.sf(copies - 1, samples + heldout, copies + natural, samples)",
        "evaluation/test_judge.py::test_a_share_of_near_copies_is_tested_against_chance",
    ),
    Bug(
        "samples that are too few to tell praised",
        "evaluation/verdict.py",
        "if needed > _fewest(by_name):",
        "if needed < 0:",
        "evaluation/test_judge.py::test_too_few_samples_are_no_praise_and_static_fails_all_the_same",
    ),
    Bug(
        "samples off the data called near them",
        "evaluation/verdict.py",
        "return _count(row) * _floor(row) >= HITS and _of_floor(row) < DISJOINT",
        "return False",
        "evaluation/test_judge.py::test_verdicts_in_words",
    ),
    Bug(
        "sliced W1 alone praised on the page",
        "evaluation/verdict.py",
        "        (),\n        UNDECIDED,\n",
        "        (),\n        GOOD,\n",
        "report/test_page.py::test_before_an_evaluation_the_page_praises_nothing",
    ),
    # Nothing lost, nothing let in
    Bug(
        "a second writer let into a run",
        "locking.py",
        "    except BlockingIOError:\n        return False",
        "    except BlockingIOError:\n        return True",
        "test_locking.py::test_a_second_process_is_told_who_holds_the_folder_and_a_killed_one_s_lock_is_taken_over",
    ),
    Bug(
        "the lock of another machine taken while it is renewed",
        "locking.py",
        "> LOST_AFTER_SECONDS)",
        "> 0)",
        "test_locking.py::test_a_lock_of_another_machine_counts_until_it_was_not_renewed_for_long",
    ),
    Bug(
        "a lock that was lost goes unnoticed",
        "keeping.py",
        "        settings = self._run.settings\n        self._run.place.require_own()",
        "        settings = self._run.settings",
        "test_locking.py::test_a_run_whose_lock_was_taken_over_writes_nothing_more",
    ),
    Bug(
        "a rollback with the old rates",
        "runs.py",
        "run.trainer.rate_scale = scale * ROLLBACK_FACTOR",
        "run.trainer.rate_scale = scale",
        "test_divergence.py::test_a_run_that_diverges_goes_back_with_a_quarter_of_the_rates_and_says_so",
    ),
    Bug(
        "rollbacks counted afresh on resume",
        "runs.py",
        'tuple(content.get("rollbacks", ()))',
        "()",
        "test_divergence.py::test_it_goes_back_no_more_often_than_allowed_over_resumes_too",
    ),
    Bug(
        "half a line in the log",
        "training/runlog.py",
        "file.truncate(whole)",
        "pass",
        "training/test_runlog.py::test_a_tick_that_the_disk_does_not_take_leaves_the_log_as_it_was",
    ),
    Bug(
        "a bomb unpacked",
        "data/limits.py",
        "if needed > largest:",
        "if needed < 0:",
        "data/test_hostile.py::test_bombs_are_refused_before_they_are_unpacked",
    ),
    Bug(
        "any format decoded as a picture",
        "data/images.py",
        "formats=FORMATS",
        "formats=None",
        "data/test_hostile.py::test_what_only_calls_itself_a_picture_is_not_decoded_as_what_it_is",
    ),
    Bug(
        "the page embeds what lies outside its run",
        "report/page.py",
        "if inside and path.exists()",
        "if path.exists()",
        "data/test_hostile.py::test_a_page_embeds_nothing_from_outside_its_run",
    ),
    Bug(
        "layers of any size built for a checkpoint",
        "damage.py",
        "not 0 < size <= max(largest, 1)",
        "not 0 < size",
        "data/test_hostile.py::test_a_checkpoint_whose_settings_do_not_fit_its_weights_is_refused",
    ),
    # The estimator
    Bug(
        "an early end that keeps the last weights",
        "estimator.py",
        "best = fitted.course.best_weights if self._restoring else None",
        "best = None",
        "test_estimator.py::test_patience_ends_a_fit_and_restores_the_best_weights",
    ),
    Bug(
        "the best weights not copied",
        "fitting.py",
        'record["step"], on_cpu(weights))',
        'record["step"], dict(weights))',
        "test_estimator.py::test_patience_ends_a_fit_and_restores_the_best_weights",
    ),
    Bug(
        "a fit that ends between two ticks forgets the means so far",
        "fitting.py",
        "self.state = before or trainer.state_dict()",
        "self.state = trainer.state_dict()",
        "test_estimator.py::test_2n_steps_are_n_and_a_resume_and_n_bit_for_bit",
    ),
    Bug(
        "the tick at the end of a fit taken twice",
        "fitting.py",
        'self.course.history[-1]["step"] < trainer.step',
        'self.course.history[-1]["step"] <= trainer.step',
        "test_estimator.py::test_2n_steps_are_n_and_a_resume_and_n_bit_for_bit",
    ),
    Bug(
        "patience that was used up ends the next fit at once",
        "fitting.py",
        "ticks.onward = replace(ticks.onward, waited=0)",
        "ticks.onward = ticks.onward",
        "test_estimator.py::test_a_fit_that_ran_out_of_patience_goes_on_from_its_last_step",
    ),
    Bug(
        "rows that depend on how many are asked for",
        "estimator.py",
        'return drawing if drawing.kind == "table" else replace(',
        "return drawing if drawing.kind else replace(",
        "test_estimator.py::test_a_smaller_number_gives_the_first_rows_of_a_larger_exactly",
    ),
    Bug(
        "a score that is better the farther off",
        "estimator.py",
        "return -sliced_w1(",
        "return sliced_w1(",
        "test_estimator.py::test_the_score_is_minus_the_distance_from_as_many_generated_rows_in_model_space",
    ),
    Bug(
        "networks in a pickle",
        "estimator.py",
        "if name not in NETWORKS}",
        "}",
        "test_estimator.py::test_pickles_and_files_draw_the_same_rows_and_have_the_same_critic",
    ),
    Bug(
        "types that Arrow does not know are lost",
        "data/likeness.py",
        "frame = frame.astype(other)",
        "frame = frame.copy()",
        "test_estimator.py::test_frames_come_back_with_their_columns_order_and_types",
    ),
    Bug(
        "a level that was never seen taken for the first one",
        "data/tables/reading.py",
        "block[unknown] = 0",
        "block[unknown] = block[unknown]",
        "data/tables/test_reading.py::test_a_level_that_was_never_seen_is_no_option",
    ),
    Bug(
        "a fit that changes the number of threads for good",
        "fitting.py",
        "torch.set_num_threads(threads)",
        "pass",
        "test_estimator.py::test_a_fit_and_a_draw_leave_torch_as_it_was",
    ),
    # Pictures and labels
    Bug(
        "labels joined by position though the table names the files",
        "data/joining.py",
        "if chosen is None or not _names_files(chosen):",
        "if True:",
        "data/test_joining.py::test_names_join_in_any_order_and_dress",
    ),
    Bug(
        "a name of several files goes to one of them",
        "data/joining.py",
        "    if several:\n",
        "    if False:\n",
        "data/test_joining.py::test_names_of_several_files_are_refused",
    ),
    Bug(
        "hidden files taken for data",
        "data/tree.py",
        "if is_hidden(entry.name) or is_left_by_system(entry.name):",
        "if is_left_by_system(entry.name):",
        "data/test_tree.py::test_what_is_no_data_is_counted_and_named",
    ),
    Bug(
        "a run trains on its own grids",
        "data/tree.py",
        "elif is_run_folder(Path(entry.path)):",
        "elif False:",
        "cli/test_pictures.py::test_training_in_the_folder_of_the_pictures_again_and_again",
    ),
    Bug(
        "links walked in circles",
        "data/tree.py",
        "if (status.st_dev, status.st_ino) in self._entered:",
        "if len(prefix) > 200:",
        "data/test_tree.py::test_links_are_followed_once_and_never_in_circles",
    ),
    Bug(
        "a class held out whole",
        "data/source.py",
        "    return split.holding_out(torch.from_numpy(heldout)) if swapped else split",
        "    return split",
        "data/test_labels.py::test_no_class_is_held_out_whole_and_few_rows_move",
    ),
    Bug(
        "a condition that never varies",
        "data/tables/source.py",
        "        if not _varies(column):\n",
        "        if False:\n",
        "data/test_labels.py::test_a_condition_that_never_varies_is_refused",
    ),
    Bug(
        "twelve bits in sixteen become four",
        "data/images.py",
        "bits = options.bits or max(header.bits for header in headers)",
        "bits = 8",
        "data/test_decoding.py::test_twelve_bits_in_sixteen_keep_every_level",
    ),
    Bug(
        "a shard's keys end at the last dot of a name",
        "data/shards.py",
        "last.split('.', 1)[0]",
        "last.rsplit('.', 1)[0]",
        "data/test_shards.py::test_labels_of_shards_are_members_fields_and_folders",
    ),
    Bug(
        "what was said of the data is forgotten",
        "keeping.py",
        '"notes": list(source.notes),',
        '"notes": [],',
        "cli/test_notes.py::test_a_run_keeps_what_was_said_of_its_data",
    ),
    # Bounds on distributions
    Bug(
        "a bet on scores that tuned it",
        "distances/mean_bounds.py",
        "bets = _tuned(*past, n, m",
        "bets = _tuned(x, y, n, m",
        "distances/test_population.py::test_bets_see_only_what_came_before",
    ),
    Bug(
        "a bound that forgets the risk",
        "distances/mean_bounds.py",
        "np.divide(growth - log_risk - rounding",
        "np.divide(growth - rounding",
        "distances/test_population.py::test_no_coin_breaks_the_bound_exactly",
    ),
    Bug(
        "the levels are those of the scores that are bet on",
        "distances/mean_bounds.py",
        "np.clip(scores[:, ends[0] : ends[-1]], bets.low, bets.high)",
        "np.clip(scores[:, ends[0] : ends[-1]], scores.min(), scores.max())",
        "distances/test_population.py::test_bounds_hold_as_often_as_stated_where_the_asymptotic_one_does_not",
    ),
    Bug(
        "stakes that add up to more on one side",
        "distances/mean_bounds.py",
        "np.repeat(stakes / sizes, sizes, axis=1)",
        "np.repeat(np.broadcast_to(bets.stake / n, stakes.shape), sizes, axis=1)",
        "distances/test_population.py::test_bounds_hold_as_often_as_stated_where_the_asymptotic_one_does_not",
    ),
    Bug(
        "sorted scores are bet on in their order",
        "distances/population.py",
        "return scores[torch.randperm(len(scores), generator=rng, device=rng.device).cpu()]",
        "return scores",
        "distances/test_population.py::test_bounds_hold_as_often_as_stated_where_the_asymptotic_one_does_not",
    ),
    Bug(
        "no margin where no spread was seen",
        "distances/population.py",
        "        return math.inf\n    # Weights",
        "        return 0.0\n    # Weights",
        "distances/test_population.py::test_the_asymptotic_bound_claims_nothing_where_no_spread_was_seen",
    ),
    Bug(
        "Welch's t by default",
        "distances/population.py",
        "    method: str = FINITE_SAMPLE,\n    tuning",
        "    method: str = ASYMPTOTIC,\n    tuning",
        "distances/test_population.py::test_scores_without_spread_leave_room_for_what_was_not_seen",
    ),
    Bug(
        "bets tuned on the test split",
        "distances/critic.py",
        "tuning=(tuning_real, tuning_fake), rng=rng",
        "tuning=(real_scores, fake_scores), rng=rng",
        "distances/test_critic.py::test_validation_scores_tune_the_bets_and_test_scores_make_them",
    ),
    Bug(
        "no union over the critics of an interval",
        "distances/interval.py",
        "each = 1 - (1 - confidence) / len(candidates)",
        "each = confidence",
        "distances/test_interval.py::test_each_critic_of_an_interval_has_its_share_of_the_risk",
    ),
    Bug(
        "the upper bound on samples is passed off as one on distributions",
        "distances/interval.py",
        "upper = min(diameter, upper + upper_margin(",
        "upper = min(diameter, upper + 0 * upper_margin(",
        "distances/test_interval.py::test_a_known_diameter_gives_a_bound_at_any_size",
    ),
    Bug(
        "a confidence of 5",
        "distances/claims.py",
        "if not (0 < value < 1 and 0 < 1 - value < 1):",
        "if value != value:",
        "cli/test_distance.py::test_wrong_input_ends_with_two",
    ),
    Bug(
        "one text of families taken letter by letter",
        "distances/families.py",
        "    if isinstance(names, str):\n        names =",
        "    if False:\n        names =",
        "distances/test_critic.py::test_families_may_be_one_text",
    ),
    # What goes in comes back
    Bug(
        "text that looks like numbers comes back in the type that it looks like",
        "data/tables/arrowvalues.py",
        "    if is_text(kind):\n        return pyarrow.array(form.texts",
        "    if False:\n        return pyarrow.array(form.texts",
        "data/tables/test_arrow_types.py::test_columns_come_back_in_their_own_type",
    ),
    Bug(
        "whole numbers of 64 bits by way of float64",
        "data/tables/infer.py",
        "exact = raw.values if raw.exact is None else raw.exact",
        "exact = raw.values",
        "data/tables/test_arrow_types.py::test_columns_come_back_in_their_own_type",
    ),
    Bug(
        "NaN and nothing are one",
        "data/tables/arrowvalues.py",
        'if column.missing == "NaN" and pyarrow.types.is_floating(kind):',
        "if False:",
        "data/tables/test_arrow_types.py::test_columns_come_back_in_their_own_type",
    ),
    Bug(
        "objects of Python come back as objects of pandas",
        "data/tables/pandasframe.py",
        "return pandas.Series(_python_values(array, state), dtype=object)",
        "return array.to_pandas().astype(object)",
        "data/tables/test_pandas_types.py::test_columns_come_back_in_their_own_type",
    ),
    Bug(
        "the round trip looks at no text",
        "data/tables/roundtrip.py",
        "            if _same(old, new):\n",
        "            if True:\n",
        "data/tables/test_roundtrip.py::test_nanoseconds_are_cut_and_said",
    ),
    Bug(
        "the round trip does not go by model space",
        "data/tables/roundtrip.py",
        "    trip.check_coded(rows, some[np.isin(some, train)])\n",
        "",
        "data/tables/test_roundtrip.py::test_damage_on_any_leg_of_the_way_is_found",
    ),
    Bug(
        "cells of a workbook that say an error are text",
        "data/excel.py",
        "values = [None if wrong else value for value, wrong in cells]",
        "values = [value for value, wrong in cells]",
        "data/test_excel.py::test_errors_count_as_missing_and_are_told",
    ),
    # Arrays and fields
    Bug(
        "one mean and deviation for channels of different units",
        "data/fitting.py",
        'else "feature" if rank == 1 else "channel"',
        'else "feature" if rank == 1 else "array"',
        "data/test_parts.py::test_each_channel_is_standardised_and_bounded_by_itself",
    ),
    Bug(
        "constant places of an array disturb the scale of the rest",
        "data/fitting.py",
        "_base(looked, training, wish), ~(looked.fixed | looked.absent)",
        "_base(looked, training, wish), ~looked.absent",
        "data/test_parts.py::test_constant_places_come_back_bit_for_bit_and_disturb_nothing",
    ),
    Bug(
        "constants of an array are learnt instead of written",
        "data/parts.py",
        "            rows[:, self.fixed.numpy()] = known\n",
        "            pass\n",
        "data/test_parts.py::test_a_constant_channel_and_constant_features_come_back",
    ),
    Bug(
        "masked arrays lose their mask",
        "data/masked.py",
        "    if not mask.any() or array",
        "    if True or array",
        "data/test_parts.py::test_masked_arrays_keep_their_mask",
    ),
    Bug(
        "what is missing is missing at another rate",
        "training/gaps.py",
        "    head.threshold.copy_(",
        "    torch.zeros_like(head.threshold).copy_(",
        "test_fields_run.py::test_values_that_may_be_missing_everywhere_are_missing_as_often_as_in_the_data",
    ),
    Bug(
        "a fill value is learnt without a word",
        "data/extremes.py",
        "return width > 0 and gap > (",
        "return False and gap > (",
        "data/test_parts.py::test_a_repeated_extreme_is_pointed_out_with_its_share",
    ),
    Bug(
        "bounds of whole numbers lose their fraction after the values did",
        "data/codec.py",
        "self.offset).round() for bound",
        "self.offset) for bound",
        "data/test_arraytrip.py::test_the_ends_of_whole_numbers_come_back",
    ),
    Bug(
        "unsigned numbers wrap around when they are centred",
        "data/moments.py",
        "rows.astype(np.int64) - base",
        "rows - rows.dtype.type(base)",
        "data/test_arraytrip.py::test_rows_come_back_in_value_type_shape_and_byte_order",
    ),
    Bug(
        "values that may be missing everywhere have no mask",
        "building.py",
        "(codec.parts.masks == 0 and codec.parts.active.all())",
        "codec.parts.active.all()",
        "test_fields_run.py::test_values_that_may_be_missing_everywhere_are_missing_as_often_as_in_the_data",
    ),
    Bug(
        "an array's round trip passes over damage",
        "data/arraytrip.py",
        "    if bad.any():",
        "    if False:",
        "data/test_arraytrip.py::test_damage_on_the_way_is_refused_with_place_and_value",
    ),
    Bug(
        "a resumed run takes a new release's scale",
        "fingerprints.py",
        "        source.codec = former",
        "        pass",
        "test_fields_run.py::test_a_run_with_the_former_scale_goes_on_with_it",
    ),
    Bug(
        "a channel that is far passes the verdict",
        "evaluation/verdict.py",
        "    if not sentence:\n        return judged\n",
        "    if True:\n        return judged\n",
        "evaluation/test_channels.py::test_a_channel_that_is_far_is_named_and_fails_the_verdict",
    ),
)


def outcome(bug: Bug, folder: Path) -> str:
    """`caught`, `MISSED`, `STALE` (the sound text is gone) or `ABSENT` (the test is)."""
    source = folder / "src"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
    file = source / "wassergan" / bug.file
    text = file.read_text(encoding="utf-8")
    if bug.sound not in text:
        return "STALE"
    file.write_text(text.replace(bug.sound, bug.broken, 1), encoding="utf-8")
    if file.suffix == ".py":
        compile(file.read_text(encoding="utf-8"), bug.file, "exec")
    return {0: "MISSED", 1: "caught"}.get(run_tests([bug.test], source), "ABSENT")


def run_tests(tests: list[str], source: Path) -> int:
    """Run tests against the library in `source`, in a process of its own; returns pytest's exit code."""
    child = os.fork()  # the heavy imports are paid for once, in the parent
    if child > 0:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = NO_RESULT  # a crash on the way to the tests is no failed test
    try:
        os.environ["PYTHONPATH"] = str(source)
        sys.path.insert(0, str(source))
        sys.dont_write_bytecode = True
        os.chdir(ROOT)
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *(f"tests/{test}" for test in tests)])
    finally:
        os._exit(code)


def main(words: list[str]) -> int:
    """Try the bugs whose description holds one of the words, or all."""
    chosen = [bug for bug in BUGS if not words or any(word in bug.what for word in words)]
    for name in HEAVY:
        import_module(name)
    if run_tests(sorted({bug.test for bug in chosen}), ROOT / "src") != 0:
        print("The tests do not pass on the sound source; nothing can be learnt from bugs.")
        return 1
    caught = 0
    for bug in chosen:
        with tempfile.TemporaryDirectory() as folder:
            result = outcome(bug, Path(folder))
        caught += result == "caught"
        print(f"{result:<7} {bug.what}  ({bug.test})", flush=True)
    print(f"{caught} of {len(chosen)} bugs caught")
    return 0 if caught == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
