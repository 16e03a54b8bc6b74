"""Matplotlib, whatever MPLBACKEND says: figures here become files, and none opens a window."""

import os
import sys

VARIABLE = "MPLBACKEND"


def import_matplotlib() -> None:
    """Import matplotlib; a backend that it does not know, as some notebooks leave it, is no reason to fail."""
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
