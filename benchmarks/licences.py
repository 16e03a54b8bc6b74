"""The licences of everything that wassergan depends on, directly or not, in this environment.

    python benchmarks/licences.py

Walks the requirements of the package and of its extras, reads what each installed distribution says of itself, and
exits with 1 if one says nothing or something that is not permissive. The test suite runs the same check.
"""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, requires

PERMISSIVE = re.compile(
    r"\b(MIT(-CMU)?|MIT-0|HPND|BSD(-[0-9A-Z-]+)?|0BSD|Apache(-2\.0)?|ISC|Zlib|PSF|PSFL|PSF-2\.0|Python-2\.0|Unlicense|"
    r"CC0-1\.0|BSL-1\.0|NCSA|MPL-2\.0|CNRI-Python|Python Software Foundation|matplotlib|LLVM-exception)\b",
    re.IGNORECASE,
)
# MPL-2.0 binds changes to its own files alone (tqdm, certifi); everything stronger is refused.
REFUSED = re.compile(
    r"\b((A|L)?GPL(-?v?[0-9.]+)?|EUPL|SSPL|BUSL|CC-BY-(NC|SA|ND)|Proprietary|Commercial)\b|(Affero|General Public)",
    re.IGNORECASE,
)
# Those whose metadata name their licence in words of their own; read by hand in the files that they ship.
READ_BY_HAND: dict[str, str] = {}
# What PyTorch's builds for GPUs bring: NVIDIA's own, which whoever installs such a build accepts. Listed, not judged.
OF_CUDA = re.compile(r"(nvidia|cuda)-[\w-]+")


def requirements(name: str, extras: tuple[str, ...] = ()) -> Iterator[str]:
    """Names that an installed distribution requires on this machine, with some of its extras."""
    for line in requires(name) or ():
        wanted, _, marker = line.partition(";")
        asked = re.search(r"extra\s*==\s*['\"]([\w.-]+)['\"]", marker)
        if asked and asked[1] not in extras:
            continue
        if re.search(r"(sys_platform|platform_system|os_name)\s*==\s*['\"](win32|Windows|nt|darwin|Darwin)", marker):
            continue
        yield re.sub(r"[-_.]+", "-", re.split(r"[\s\[(<>=!~]", wanted.strip(), maxsplit=1)[0]).lower()


def closure(name: str, extras: tuple[str, ...] = ()) -> dict[str, Distribution]:
    """All installed distributions that one needs, by name."""
    found: dict[str, Distribution] = {}
    waiting = list(requirements(name, extras))
    while waiting:
        each = waiting.pop()
        if each in found:
            continue
        try:
            found[each] = distribution(each)
        except PackageNotFoundError:  # needed on another Python or system
            continue
        waiting += requirements(each)
    return found


def licence(of: Distribution) -> str:
    """What a distribution says of its licence: the expression, the classifiers, or the first line of its own words."""
    said = of.metadata
    if "License-Expression" in said:
        return str(said["License-Expression"])
    classifiers = [each.split(" :: ")[-1] for each in said.get_all("Classifier") or () if each.startswith("License ::")]
    words = next(iter(said.get_all("License") or ()), "").strip().splitlines()
    return "; ".join(classifiers) or (words[0] if words else "")


def refused(found: dict[str, Distribution]) -> dict[str, str]:
    """The distributions whose licence is missing or not permissive, with what they say."""
    judged = {name: each for name, each in found.items() if not OF_CUDA.fullmatch(name)}
    said = {name: READ_BY_HAND.get(name, licence(each)) for name, each in judged.items()}
    return {name: text for name, text in said.items() if REFUSED.search(text) or not PERMISSIVE.search(text)}


def main() -> None:
    extras = ("tables", "inception", "tensorboard", "export")
    found = closure("wassergan", extras)
    for name, each in sorted(found.items()):
        print(f"{name:<28} {each.version:<16} {READ_BY_HAND.get(name, licence(each))}")
    bad = refused(found)
    print(f"{len(found)} distributions, {len(bad)} refused")
    for name, text in bad.items():
        print(f"refused: {name}: {text or 'says nothing'}")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
