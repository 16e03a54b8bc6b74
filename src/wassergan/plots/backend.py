"""Matplotlib, independent of MPLBACKEND: figures are written to files, and none opens a window."""

import os
import sys

VARIABLE = "MPLBACKEND"


def import_matplotlib() -> None:
    """Import matplotlib; an unknown backend, as some notebooks set it, is not an error."""
    try:
        import matplotlib
    except ValueError:
        named = os.environ.pop(VARIABLE, None)
        if named is None:
            raise
        for name in [each for each in sys.modules if each.split(".")[0] == "matplotlib"]:
            del sys.modules[name]
        try:
            import matplotlib  # noqa: F401
        finally:
            os.environ[VARIABLE] = named
