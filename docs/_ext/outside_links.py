"""Links of pages to files above `docs/`, which resolve on the forge, lead to their pages on the site."""

import re

from sphinx.application import Sphinx

PAGES = {"CONTRIBUTING.md": "/contributing.md", "README.md": "/index.md", "CHANGELOG.md": "/changelog.md"}
_LINK = re.compile(r"\]\((?:\.\./)+([A-Z]+\.md)(#[^)]*)?\)")


def on_site(text: str) -> str:
    """The text of a page with such links turned.

    >>> on_site("[how](../CONTRIBUTING.md#rules)")
    '[how](/contributing.md#rules)'
    """
    return _LINK.sub(lambda found: f"]({PAGES.get(found[1], found[1])}{found[2] or ''})", text)


def _read(app: Sphinx, name: str, source: list[str]) -> None:
    source[0] = on_site(source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """For every page that is read."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True}
