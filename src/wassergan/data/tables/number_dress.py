"""How the numbers of a column are written: signs, decimal commas, groups of digits, what stands around; on and off."""

import re
from dataclasses import asdict, dataclass
from typing import Any

from wassergan.data.tables.floating import EXPONENT

MINUSES = ("-", "\u2212", "\u2013")


@dataclass(frozen=True)
class Dress:
    """How numbers are written, beyond their digits.

    Args:
        decimal: the sign between whole and fraction.
        thousands: between groups of digits; empty for none.
        least: digits of the whole part from which it is grouped.
        indian: groups are of two digits but for the last, which has three.
        prefix: in front of every number.
        suffix: behind every number.
        minus: the sign of numbers below 0: a dash, `()` for brackets, or `-` at the end as `12-`.
        inner: the sign stands between prefix and digits: `$-5`.
        plus: numbers above 0 have a sign: `+`, or `+0` if 0 has it as well.
        pad: digits of the whole part at least, with zeros in front.
        bare: no 0 stands before the decimal sign: `.5`.
        open: whole numbers end with the decimal sign: `5.`.
        width: letters of a number at least, with blanks in front.
        mark: of an exponent, `e` or `E`, with its sign: `e`, `E`, `e+` or `E+`; empty for none.
        exponent: digits of the exponent at least.
    """

    decimal: str = "."
    thousands: str = ""
    least: int = 4
    indian: bool = False
    prefix: str = ""
    suffix: str = ""
    minus: str = "-"
    inner: bool = False
    plus: str = ""
    pad: int = 0
    bare: bool = False
    width: int = 0
    mark: str = ""
    exponent: int = 0
    open: bool = False

    def wear(self, plain: str) -> str:
        """The text of a number that Python writes; its exponent is kept, or written as the mark says."""
        negative = plain.startswith("-")
        if self.mark:
            return self._scientific(plain)
        found = EXPONENT.search(plain)
        plain, power = (plain[: found.start()], found[0]) if found else (plain, "")
        whole, point, fraction = plain.lstrip("-").partition(".")
        is_zero = not (whole + fraction).strip("0")
        whole = whole.zfill(self.pad) if self.pad else whole
        if self.thousands and len(whole) >= self.least:
            whole = self._grouped(whole)
        if self.bare and whole == "0" and fraction:
            whole = ""
        body = whole + (self.decimal + fraction if point or (self.open and not power) else "") + power
        sign = self._sign(negative, is_zero)
        if negative and self.minus == "()":
            text = f"({self.prefix}{body}{self.suffix})"
        elif negative and self.minus == "12-":
            text = f"{self.prefix}{body}-{self.suffix}"
        else:
            text = f"{self.prefix}{sign}{body}" if self.inner else f"{sign}{self.prefix}{body}"
            text += self.suffix
        return text.rjust(self.width)

    def _sign(self, negative: bool, is_zero: bool) -> str:
        if negative:
            return self.minus if self.minus in MINUSES else ""
        return "+" if self.plus and (not is_zero or self.plus == "+0") else ""

    def _grouped(self, whole: str) -> str:
        head, tail = whole[:-3], whole[-3:]
        size = 2 if self.indian else 3
        first = len(head) % size
        parts = [head[:first], *(head[at : at + size] for at in range(first, len(head), size)), tail]
        return self.thousands.join(part for part in parts if part)

    def _scientific(self, plain: str) -> str:
        mantissa, _, power = plain.partition("e")
        sign = "-" if power.startswith("-") else "+" if self.mark.endswith("+") else ""
        digits = power.lstrip("+-").lstrip("0").zfill(self.exponent) if power.lstrip("+-0") else "0" * self.exponent
        return f"{self.prefix}{mantissa.replace('.', self.decimal)}{self.mark[0]}{sign}{digits}{self.suffix}"

    def bare_text(self, text: str) -> str | None:
        """The number in a text, as `wear` takes it; None if it is not written like this.

        More leniently than `wear`: digits may be grouped or not, and blanks around do not count.
        """
        body, negative = text.strip(), False
        if self.minus == "()" and body.startswith("(") and body.endswith(")"):
            body, negative = body[1:-1], True
        for sign in (*MINUSES, "+"):
            if body.startswith(sign):
                body, negative = body[1:], negative or sign != "+"
                break
        prefix, suffix = self.prefix.strip(), self.suffix.strip()
        if prefix and body.startswith(prefix):
            body = body[len(prefix) :].lstrip()
        if suffix and body.endswith(suffix):
            body = body[: -len(suffix)].rstrip()
        if self.minus == "12-" and body.endswith("-"):
            body, negative = body[:-1], True
        for sign in MINUSES:
            if body.startswith(sign) and not negative:
                body, negative = body[1:], True
        body = body.replace(self.thousands, "") if self.thousands else body
        body = body.replace(self.decimal, ".") if self.decimal != "." else body
        if not re.fullmatch(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", body):
            return None
        return f"-{body}" if negative else body

    @property
    def is_plain(self) -> bool:
        """Whether numbers are written as Python writes them."""
        return self == Dress()

    def state(self) -> dict[str, Any]:
        """Plain types, for a checkpoint."""
        return asdict(self)
