"""The states of a run folder as a state machine of hypothesis, which shrinks what it finds.

    python fuzz/state_machine.py [EXAMPLES] [--steps N] [--whole-steps] [--kinds KIND ...] [--seed S] [--folder FOLDER]

Verbs, faults and invariants are those of `states.py`. There a seed makes the choices; here hypothesis does, through a
random number generator whose values it draws: at a violation it tries fewer steps, fewer faults and simpler arguments,
and prints the shortest course that still leads there. With `--whole-steps` it draws one number for each step, from
which all choices of that step follow: that costs a third, and a violation is shrunk by leaving out steps alone. Exits
with 1 at a violation. Equal seeds give equal examples.
"""

import argparse
import json
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, Phase, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

sys.path.insert(0, str(Path(__file__).parent))
from states import KINDS, RunStates, tallies, world

choices = st.randoms(use_true_random=False)
whole = st.integers(0, 2**64 - 1).map(random.Random)


class RunFolder(RuleBasedStateMachine):
    """One run folder: begun once, then a step at a time; at the end it must give an undisturbed run."""

    drawn = choices

    states: RunStates | None = None
    holds = True

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """A run that was not yet started, or that was stopped at a step."""
        self.states = RunStates()
        self._require(self.states.begin, data)

    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        """One of all things that may happen."""
        assert self.states is not None
        self._require(self.states.step, data)

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

    def _require(self, happens: Callable[[random.Random], None], data: st.DataObject) -> None:
        rng = data.draw(self.drawn)
        self.holds = False
        happens(rng)
        self.holds = True


def main() -> None:
    """Search, and print what was counted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=int, nargs="?", default=50)
    parser.add_argument("--steps", type=int, default=2, help="of each example")
    parser.add_argument("--whole-steps", action="store_true", help="draw one number for each step")
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
    if options.whole_steps:
        RunFolder.drawn = whole
    with world(options.folder, options.kinds):
        run_state_machine_as_test(seed(options.seed)(RunFolder), settings=chosen)
    print(json.dumps(tallies()), flush=True)


if __name__ == "__main__":
    main()
