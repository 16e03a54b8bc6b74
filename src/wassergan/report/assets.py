"""Templates and other files of pages, which are parts of the package."""

from functools import cache
from importlib.resources import files
from typing import Any

import jinja2

from wassergan.errors import printable


@cache
def template(name: str) -> jinja2.Template:
    """A template of this package; whatever it shows is escaped."""
    environment = jinja2.Environment(
        autoescape=True, finalize=_safe, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(asset(name))


def asset(name: str) -> str:
    """The text of a file of this package."""
    return files("wassergan.report").joinpath(name).read_text(encoding="utf-8")


def _safe(value: Any) -> Any:
    """The value for a template, with untrusted text escaped."""
    return printable(value) if type(value) is str else value
