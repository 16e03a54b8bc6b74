"""Text of the command line to values: sizes, durations, numbers and lists of them."""

import re

from wassergan.errors import UserError, shortened

MOST_LAYERS = 1000
LARGEST_OVERSHOOT = 16.0
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_POWER = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,19}))?[eE]\+?([0-9]{1,2})")


def parse_budget(text: str) -> float:
    """Seconds of a duration such as `20s`, `10m`, `2h` or `1.5h`.

    Raises:
        UserError: not a positive duration, or a number whose unit nobody can know.

    >>> parse_budget("10m")
    600.0
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip())
    seconds = float(match[1]) * _UNITS[match[2] or "s"] if match else 0.0
    if not 0 < seconds < float("inf"):
        raise UserError("A budget is a positive duration", found=_quoted(text), hint="write it like 20s, 10m or 2h")
    if match and not match[2]:
        number = shortened(match[1], 20)
        raise UserError("A budget needs a unit", found=_quoted(text), hint=f"write {number}s, {number}m or {number}h")
    return seconds


def parse_size(text: str) -> tuple[int, int]:
    """(height, width) of `64` or `48x64`.

    Raises:
        UserError: not a size.

    >>> parse_size("48x64")
    (48, 64)
    """
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text.strip())
    size = (_whole(match[1]), _whole(match[2] or match[1])) if match else (0, 0)
    if min(size) < 1:
        raise UserError(
            "A size is a whole number or HEIGHTxWIDTH", found=_quoted(text), hint="write it like 64 or 48x64"
        )
    return size


def parse_crop(text: str) -> tuple[int, int, int]:
    """(depth, height, width) of `32` or `16x32x32`.

    Raises:
        UserError: not the sides of a crop.

    >>> parse_crop("16x32x32")
    (16, 32, 32)
    """
    match = re.fullmatch(r"(\d+)(?:x(\d+)x(\d+))?", text.strip())
    sides = (
        (0, 0, 0) if match is None else (_whole(match[1]), _whole(match[2] or match[1]), _whole(match[3] or match[1]))
    )
    if min(sides) < 1:
        raise UserError(
            "The sides of a crop are a whole number or DEPTHxHEIGHTxWIDTH",
            found=_quoted(text),
            hint="write them like 32 or 16x32x32",
        )
    return sides


def parse_widths(text: str) -> tuple[int, ...]:
    """Layer widths of `256,256`.

    Raises:
        UserError: not a list of positive whole numbers, or more than `MOST_LAYERS`.

    >>> parse_widths("256,512")
    (256, 512)
    """
    widths = tuple(_whole(part) for part in text.split(","))
    if min(widths) < 1:
        raise UserError("Widths are whole numbers", found=_quoted(text), hint="write them like 256,512")
    if len(widths) > MOST_LAYERS:
        raise UserError(f"A network has at most {MOST_LAYERS} layers", found=f"{len(widths)}")
    return widths


def parse_numbers(text: str) -> tuple[int | float, ...]:
    """Numbers of `-9999,1e20`; whole ones stay whole.

    Raises:
        UserError: not a list of finite numbers.

    >>> parse_numbers("-9999,1e20")
    (-9999, 1e+20)
    """
    numbers = [int(part) if re.fullmatch(r"[+-]?\d{1,38}", part) else _number(part) for part in _parts(text)]
    if not numbers or not all(float("-inf") < number < float("inf") for number in numbers):
        raise UserError("Expected finite numbers", found=f"'{text}'", hint="write them like -9999 or -9999,1e20")
    return tuple(numbers)


def parse_names(text: str) -> tuple[str, ...]:
    """Names of `temperature,humidity`.

    Raises:
        UserError: an empty name.
    """
    names = _parts(text)
    if not all(names):
        raise UserError("Expected names", found=f"'{text}'", hint="write them like temperature,humidity")
    return tuple(names)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def positive_int(text: str) -> int:
    """A whole number above 0.

    Raises:
        UserError: it is not.

    >>> positive_int("1e5")
    100000
    """
    number = _whole(text)
    if number < 1:
        raise UserError("Expected a whole number above 0", found=_quoted(text))
    return number


def whole_number(text: str) -> int:
    """A whole number from 0 that fits 63 bits.

    Raises:
        UserError: it is not.
    """
    number = _whole(text)
    if number < 0:
        raise UserError("Expected a whole number from 0, below 2^63", found=_quoted(text))
    return number


def positive_float(text: str) -> float:
    """A finite number above 0.

    Raises:
        UserError: it is not.
    """
    number = _number(text)
    if not 0 < number < float("inf"):
        raise UserError("Expected a number above 0", found=_quoted(text))
    return number


def overshoot(text: str) -> float:
    """A number from 1 to 16.

    Raises:
        UserError: it is not.
    """
    number = _number(text)
    if not 1 <= number <= LARGEST_OVERSHOOT:
        raise UserError(f"Expected a number from 1 to {LARGEST_OVERSHOOT:g}", found=_quoted(text))
    return number


def fraction(text: str) -> float:
    """A number in [0, 1).

    Raises:
        UserError: it is not.
    """
    number = _number(text)
    if not 0 <= number < 1:
        raise UserError("Expected a number from 0 up to, not including, 1", found=_quoted(text))
    return number


def not_negative(text: str) -> float:
    """A finite number from 0.

    Raises:
        UserError: it is not.
    """
    number = _number(text)
    if not 0 <= number < float("inf"):
        raise UserError("Expected a number from 0", found=_quoted(text))
    return number


def _whole(text: str) -> int:
    """A whole number from 0, below 2^63, also one such as `1e5` or `2.5e6`; -1 for anything else."""
    digits = text.strip()
    if match := _POWER.fullmatch(digits):
        places, power = (match[2] or "").rstrip("0"), int(match[3])
        digits = match[1] + places.ljust(power, "0") if len(places) <= power else ""
    digits = digits.lstrip("0") or digits[:1]
    if not digits.isdecimal() or len(digits) > len(str(2**63)):  # Python reads no numbers of thousands of digits
        return -1
    return int(digits) if int(digits) < 2**63 else -1


def _quoted(text: str) -> str:
    return f"'{text}'" if len(text) <= 80 else f"'{text[:80]}...', {len(text)} characters"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
