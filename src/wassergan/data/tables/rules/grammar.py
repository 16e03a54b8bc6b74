"""The language of rules, one rule a text; nothing of it is ever run as code.

    low < mid <= high                 an order; with numbers, as in end >= start + 2
    total = a + b - c                 a computed column, as are age = 2024 - born and ratio = a / b
    country, currency                 only combinations that the data have
    size in ['S', 'M']                a set of values
    ended missing iff state == 'open' missing in just those rows; `if` instead of `iff` for at least those
    price < 100 if class == 'eco'     only in rows with that level; also `in [...]`, `!=`, `missing`, `and`

Names that are no plain words stand between backticks, text and dates between single quotes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction

from wassergan.data.tables.rules.expression import Expression
from wassergan.errors import UserError

LONGEST = 2000  # characters of a rule
DEEPEST = 40  # brackets within brackets
ORDERS = ("<", "<=", ">", ">=")
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d{1,18}(?:\.\d{1,18})?(?![\w.]))|(?P<name>[^\W\d][\w.]*)|`(?P<quoted>[^`]+)`"
    r"|'(?P<text>[^']*)'|(?P<sign><=|>=|==|!=|[<>=+\-*/(),\[\]{}]))"
)
EXAMPLE = "write one like 'low < high', 'total = a + b', 'country, city' or 'x missing iff y missing'"
_WORDS = ("if", "iff", "and", "in", "not", "is", "missing")


@dataclass(frozen=True)
class Test:
    """What a level column must be.

    Args:
        name: of the column.
        values: texts of its levels.
        negated: it must be none of them.
        missing: instead of values: it must be missing, or must not where `negated`.
    """

    name: str
    values: tuple[str, ...] = ()
    negated: bool = False
    missing: bool = False


@dataclass(frozen=True)
class Rule:
    """One rule.

    Args:
        text: as the user wrote it.
        kind: `order`, `computed`, `together`, `set` or `missing`.
        left: of an order, the smaller side; of a computed column, the column.
        right: the other side.
        strict: the two sides of an order are not equal.
        names: of columns that go together.
        test: of a set and of what is missing.
        both: what is missing is so in just the rows of the condition.
        only_if: tests, all of which a row passes to which the rule applies.
    """

    text: str
    kind: str
    left: Expression | None = None
    right: Expression | None = None
    strict: bool = False
    names: tuple[str, ...] = ()
    test: Test | None = None
    both: bool = False
    only_if: tuple[Test, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that it names."""
        sides = [name for each in (self.left, self.right) if each for name in each.names]
        tests = [each.name for each in (*([self.test] if self.test else []), *self.only_if)]
        return tuple(dict.fromkeys((*sides, *self.names, *tests)))


def parse_rules(texts: Sequence[str]) -> tuple[Rule, ...]:
    """All rules of a schema; a chain is one rule for each of its signs.

    Raises:
        UserError: a text is no rule.
    """
    return tuple(rule for text in texts for rule in _Parser(text).rules())


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > LONGEST:
            raise self._wrong(f"more than {LONGEST} characters")
        self._tokens: list[tuple[str, str]] = []
        offset = 0
        while text[offset:].strip():
            match = _TOKEN.match(text, offset)
            if match is None:
                raise self._wrong(f"'{text[offset:].strip()[:20]}'")
            kind = match.lastgroup or ""
            self._tokens.append((kind, match[kind]))
            offset = match.end()
        self._at = 0

    def rules(self) -> list[Rule]:
        found = self._body()
        if self._at < len(self._tokens):
            raise self._wrong(f"'{self._tokens[self._at][1]}'")
        return found

    def _body(self) -> list[Rule]:
        if self._is_list():
            return [self._together()]
        if self._test_follows():
            return [self._tested()]
        return self._compared()

    def _compared(self) -> list[Rule]:
        sides, signs = [self._sum(0)], []
        while (sign := self._peek()) in (("sign", each) for each in (*ORDERS, "=", "==")):
            self._at += 1
            signs.append(sign[1].replace("==", "="))
            sides.append(self._sum(0))
        if not signs:
            raise self._wrong("no comparison")
        if "=" in signs and len(signs) > 1:
            raise self._wrong("an equation within a chain")
        only_if = self._only_if()
        if signs == ["="]:
            return [self._equation(sides[0], sides[1], only_if)]
        if len({sign[0] for sign in signs}) > 1:
            raise self._wrong("a chain in both directions")
        rules = []
        for order, left, right in zip(signs, sides, sides[1:], strict=False):
            small, large = (left, right) if order[0] == "<" else (right, left)
            if not (small.names or large.names):
                raise self._wrong("no column")
            rules.append(Rule(self.text, "order", small, large, strict=len(order) == 1, only_if=only_if))
        return rules

    def _equation(self, left: Expression, right: Expression, only_if: tuple[Test, ...]) -> Rule:
        if left.kind != "column":
            left, right = right, left
        if left.kind != "column" or left.name in right.names or not right.names:
            raise self._wrong("an equation that does not say what one column is by others")
        return Rule(self.text, "computed", left, right, only_if=only_if)

    def _sum(self, depth: int) -> Expression:
        if depth > DEEPEST:
            raise self._wrong("too many brackets")
        found = self._product(depth)
        while self._peek() in (("sign", "+"), ("sign", "-")):
            operation = self._next()[1]
            found = Expression(operation, left=found, right=self._product(depth))
        return found

    def _product(self, depth: int) -> Expression:
        found = self._factor(depth)
        while self._peek() in (("sign", "*"), ("sign", "/")):
            operation = self._next()[1]
            found = Expression(operation, left=found, right=self._factor(depth))
        return found

    def _factor(self, depth: int) -> Expression:
        negative = False
        while self._peek() == ("sign", "-"):
            self._at, negative = self._at + 1, not negative
        kind, text = self._next()
        if kind == "number":
            found = Expression("number", Fraction(text))
        elif kind == "text":
            found = Expression("number", self._days(text))
        elif kind == "quoted" or (kind == "name" and text not in _WORDS):
            found = Expression("column", name=text)
        elif (kind, text) == ("sign", "("):
            found = self._sum(depth + 1)
            self._expect(")")
        else:
            raise self._wrong(f"'{text}'")
        minus_one = Expression("number", Fraction(-1))
        return Expression("*", left=minus_one, right=found) if negative else found

    def _days(self, text: str) -> Fraction:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise self._wrong(f"'{text}', which is no date like 2024-05-19") from error
        since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
        return since.days + Fraction(since.seconds * 10**6 + since.microseconds, 86_400 * 10**6)

    def _is_list(self) -> bool:
        return len(self._tokens) > 1 and self._is_name(0) and self._tokens[1] == ("sign", ",")

    def _together(self) -> Rule:
        names = [self._name()]
        while self._peek() == ("sign", ","):
            self._at += 1
            names.append(self._name())
        if len(set(names)) < len(names):
            raise self._wrong("a column twice")
        return Rule(self.text, "together", names=tuple(names))

    def _test_follows(self) -> bool:
        if len(self._tokens) < 2 or not self._is_name(0):
            return False
        sign, after = self._tokens[1], self._tokens[2:3]
        plain = sign in (("name", "in"), ("name", "not"), ("name", "is"), ("name", "missing"), ("sign", "!="))
        return plain or (sign[1] in ("=", "==") and bool(after) and after[0][0] == "text" and not _is_date(after[0][1]))

    def _tested(self) -> Rule:
        test = self._test()
        both = False
        if self._peek() == ("name", "iff"):
            self._tokens[self._at], both = ("name", "if"), True
        only_if = self._only_if()
        if test.missing and not only_if:
            raise self._wrong("no condition")
        if both and not test.missing:
            raise self._wrong("'iff' without 'missing'")
        return Rule(self.text, "missing" if test.missing else "set", test=test, both=both, only_if=only_if)

    def _only_if(self) -> tuple[Test, ...]:
        if self._peek() != ("name", "if"):
            return ()
        self._at += 1
        tests = [self._test()]
        while self._peek() == ("name", "and"):
            self._at += 1
            tests.append(self._test())
        return tuple(tests)

    def _test(self) -> Test:
        name, negated = self._name(), False
        if self._peek() == ("name", "is"):
            self._at += 1
        if self._peek() == ("name", "not"):
            self._at, negated = self._at + 1, True
        kind, text = self._next()
        if (kind, text) == ("name", "missing"):
            return Test(name, negated=negated, missing=True)
        if (kind, text) == ("name", "in"):
            closing = {"[": "]", "{": "}", "(": ")"}.get(self._next()[1])
            if closing is None:
                raise self._wrong("no list after 'in'")
            values = [self._value()]
            while self._peek() == ("sign", ","):
                self._at += 1
                values.append(self._value())
            self._expect(closing)
            return Test(name, tuple(values), negated)
        if text in ("==", "=", "!=") and kind == "sign" and not negated:
            return Test(name, (self._value(),), text == "!=")
        raise self._wrong(f"'{text}'")

    def _value(self) -> str:
        sign = "-" if self._peek() == ("sign", "-") else ""
        self._at += len(sign)
        kind, text = self._next()
        if kind not in ("text", "number", "name") or (sign and kind != "number"):
            raise self._wrong(f"'{text}'")
        return sign + text

    def _name(self) -> str:
        if not (self._at < len(self._tokens) and self._is_name(self._at)):
            raise self._wrong("no column" if self._at >= len(self._tokens) else f"'{self._tokens[self._at][1]}'")
        return self._next()[1]

    def _is_name(self, offset: int) -> bool:
        kind, text = self._tokens[offset]
        return kind == "quoted" or (kind == "name" and text not in _WORDS)

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("", "")

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise self._wrong("its end")
        self._at += 1
        return self._tokens[self._at - 1]

    def _expect(self, sign: str) -> None:
        if self._next() != ("sign", sign):
            raise self._wrong(f"no {sign}")

    def _wrong(self, found: str) -> UserError:
        return UserError(f"The rule '{self.text[:80]}' cannot be read", found=found, hint=EXAMPLE)


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
