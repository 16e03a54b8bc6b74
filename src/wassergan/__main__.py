"""`python -m wassergan`: the command line, also under torchrun."""

import os
import sys

from wassergan.cli.main import main

code = main()
if os.environ.get("WORLD_SIZE", "1").strip() not in ("", "0", "1"):
    # Everything is written and closed. A thread of torch.distributed that outlives the group may call the interpreter
    # while it shuts down, which aborts the process (rarely), and torchrun would take the run for failed.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
sys.exit(code)
