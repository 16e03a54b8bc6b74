"""Check the built site: `python docs/check_site.py build/site`.

Every internal link and anchor resolves, nothing is loaded from elsewhere, and every public name has its place.
"""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

# Attributes by which a page loads something, as opposed to links that a reader may follow.
LOADING = {
    *(("script", "src"), ("img", "src"), ("img", "srcset"), ("source", "src"), ("iframe", "src"), ("embed", "src")),
    *(("link", "href"), ("video", "src"), ("audio", "src"), ("object", "data"), ("input", "src"), ("image", "href")),
}
IDLE_LINKS = {"canonical", "author", "license", "next", "prev", "search", "index", "genindex", "alternate"}
_OUTSIDE = re.compile(r"(?:https?:)?//")
_IN_STYLES = re.compile(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')\s]+)""")


class Page(HTMLParser):
    """What a page names: anchors, links, and what it loads."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = _IN_STYLES.findall(content)
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element's names."""
        values = {name: value or "" for name, value in attrs}
        self.ids |= {values[name] for name in ("id", "name") if values.get(name)}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag == "link" and values.get("rel", "") in IDLE_LINKS:
            return
        self.loaded += [value for name, value in values.items() if (tag, name) in LOADING]


def faults(site: Path, names: set[str], homes: dict[str, str]) -> Iterator[str]:
    """What is wrong with a site, in a line each.

    Args:
        site: its folder.
        names: the public names, with those of methods.
        homes: where a class or function is described, for each of its names.
    """
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    if not pages:
        yield f"there is no page in {site}"
    for path, page in pages.items():
        here = path.relative_to(site)
        for link in page.links:
            yield from (f"{here}: {fault}" for fault in _dead(link, path, pages))
        for address in page.loaded:
            if _OUTSIDE.match(address):
                yield f"{here}: loads {address}"
            elif not address.startswith(("data:", "#")) and not _file(address, path).exists():
                yield f"{here}: loads {address}, which is not there"
    for path in sorted(site.rglob("*.css")):
        for address in _IN_STYLES.findall(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(site)}: loads {address}"
    there = {each for path, page in pages.items() if path.parent.name == "api" for each in page.ids}
    yield from (f"api: {name} is not described" for name in sorted(names) if not _described(name, homes, there))


def _dead(link: str, path: Path, pages: dict[Path, Page]) -> Iterator[str]:
    if urlsplit(link).scheme or link.startswith("//"):
        return
    address, anchor = urldefrag(link)
    target = _file(address, path) if address else path
    target = target / "index.html" if target.is_dir() else target
    if not target.exists():
        yield f"{link} is not there"
    elif anchor and target in pages and unquote(anchor) not in pages[target].ids:
        yield f"{link} has no such anchor"


def _file(address: str, path: Path) -> Path:
    return (path.parent / unquote(urlsplit(address).path)).resolve()


def _described(name: str, homes: dict[str, str], there: set[str]) -> bool:
    """A method of a class that has several names is described at one of them."""
    if name in there and name not in homes:
        return True
    if name in homes:
        return name in there and homes[name] in there
    owner, _, member = name.rpartition(".")
    return owner in homes and f"{homes[owner]}.{member}" in there


def main() -> int:
    """Print the faults; the exit code says whether there are any."""
    sys.path.insert(0, str(Path(__file__).parent / "_ext"))
    import api_pages

    names = {line.partition("(")[0] for line in api_pages.listing().lines()}
    found = list(faults(Path(sys.argv[1]).resolve(), names, api_pages.homes(api_pages.modules())))
    for fault in found:
        print(fault)
    print(f"{len(names)} public names; {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
