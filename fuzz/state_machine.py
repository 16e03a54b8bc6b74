"""The states of a run folder as a state machine of hypothesis, which shrinks what it finds.

    python fuzz/state_machine.py [EXAMPLES] [--steps N] [--kinds KIND ...] [--seed S] [--folder FOLDER]

Verbs, faults and invariants are those of `states.py`. There a seed makes the choices; here hypothesis does, through a
random number generator whose values it draws: at a violation it tries fewer steps, fewer faults and simpler arguments,
and prints the shortest course that still leads there. Exits with 1 then. Equal seeds give equal examples.
"""

import argparse
import json
import random
import shutil
import sys
from pathlib import Path

from hypothesis import HealthCheck, Phase, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

sys.path.insert(0, str(Path(__file__).parent))
from states import KINDS, RunStates, tallies, world

choices = st.randoms(use_true_random=False)


class RunFolder(RuleBasedStateMachine):
    """One run folder: begun once, then a step at a time; at the end it must give an undisturbed run."""

    states: RunStates | None = None
    holds = True

    @initialize(rng=choices)
    def begin(self, rng: random.Random) -> None:
        """A run that was not yet started, or that was stopped at a step."""
        self.states = RunStates()
        self._require(self.states.begin, rng)

    @rule(rng=choices)
    def step(self, rng: random.Random) -> None:
        """One of all things that may happen."""
        assert self.states is not None
        self._require(self.states.step, rng)

    def teardown(self) -> None:
        """The run is resumed to its end, unless a violation was found before."""
        if self.states is None:
            return
        try:
            if self.holds:
                self.states.finish()
        finally:
            note("\n    ".join(["Course:", *self.states.course]))
            shutil.rmtree(self.states.world, ignore_errors=True)

    def _require(self, happens, rng: random.Random) -> None:  # type: ignore[no-untyped-def]
        self.holds = False
        happens(rng)
        self.holds = True


def main() -> None:
    """Search, and print what was counted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=int, nargs="?", default=50)
    parser.add_argument("--steps", type=int, default=2, help="of each example")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=sorted(KINDS), default=list(KINDS))
    parser.add_argument("--folder", type=Path, default=None, help="where the runs are made")
    options = parser.parse_args()
    chosen = settings(
        max_examples=options.examples,
        stateful_step_count=options.steps + 1,  # with the beginning
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        print_blob=False,
    )
    with world(options.folder, options.kinds):
        run_state_machine_as_test(seed(options.seed)(RunFolder), settings=chosen)
    print(json.dumps(tallies()), flush=True)


if __name__ == "__main__":
    main()
