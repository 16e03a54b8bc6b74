"""`python -m wassergan`: the command line, also under torchrun."""

import sys

from wassergan.cli.main import main

sys.exit(main())
