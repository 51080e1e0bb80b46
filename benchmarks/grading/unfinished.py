r"""What is no final answer although its value is right: work that is left to be done, and mere equations.

What: an answer is a value. Its text has no operation that the gold has not: any command but those that write numbers,
functions, sets and the like is one. Its tree, which math-verify does not evaluate, has no more sums, products, powers
and roots of numbers that could be worked out, no fraction that could be cancelled, and no variable that the gold has
not.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from tuition.benchmarks.grading.reading import parse
from tuition.benchmarks.grading.vocabulary import FUNCTIONS, WORD

_VALUES = frozenset(
    WORD.findall("""
    frac dfrac tfrac cfrac sqrt left right big Big bigg Bigg bigl bigr Bigl Bigr cdot times ast pm mp
    pi infty infin imath exp
    le leq leqslant ge geq geqslant ne neq not lt gt approx in notin cup cap setminus emptyset varnothing
    lor land vee wedge mid vert lvert rvert lbrace rbrace lbrack rbrack langle rangle
    text textbf textit textrm textnormal mathrm mathbf mathit mbox operatorname mathbb displaystyle quad qquad
    circ degree begin end hline
    alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau upsilon
    phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega
    """)
)
_OPERATIONS = re.compile(
    r"\\[dt]?frac\s*\{\s*(d|\\partial|\\mathrm\s*\{\s*d\s*\})\s*\}"
    r"|\\([a-zA-Z]+)|\b(gcd|lcm|mod|max|min)\b|\d\s*(')|([-+]\s*[-+])|\d(\s)\s*\d"
    r"|(\))\s*\(\s*-?[\d.]+\s*\)"
    r"|(\^\s*(?:\{\s*[01]\s*\}|[01](?!\d)))|[\w)}]\s*([-+]\s*0)(?![\d.,])|(?<![\w.,])(0\s*\+)"
    r"|(/\s*[\w.]+\s*/)"
)
_NESTED = re.compile(r"\\[dt]?frac\s*\{\s*-?\s*\\[dt]?frac")
_SCIENTIFIC = re.compile(r"(?:\\times|\\cdot|\*)\s*10\s*\^\s*(?:\{\s*-?\d+\s*\}|\d)")
_ROOT_OF_FRACTION = re.compile(
    r"\\sqrt\s*\{\s*(?:\\[dt]?frac\s*\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}|(\d+)\s*/\s*(\d+))\s*\}"
)
_UNIT = re.compile(r"\\(?:\$|text|mathrm)")
_APPROXIMATELY = re.compile(r"\\approx(?![a-zA-Z])")
_LETTERS = re.compile(r"(?!\s*[-+])(?:[a-zA-Z\s(){}+*/-]|\\(?:[dt]?frac|cdot|times|left|right)(?![a-zA-Z]))+")
CLOSE = 0.02
"""How far the two sides of an approximation may be apart, by their ratio."""
MOST_OPERATIONS = 60
"""Operations of a fraction of polynomials that is looked at."""
LARGEST_ROOT = 1_000


def sides(text: str) -> list[str]:
    """The parts between a text's equals signs, but for those in braces, such as a sum's."""
    parts, depth, begin = [], 0, 0
    for match in re.finditer(r"\\[{}\\]|[{}]|(?<![\\<>!])(?<!\\not)(?<!\\not )=", text):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if match[0] == "=" and depth == 0:
            parts.append(text[begin : match.start()])
            begin = match.end()
    return [*parts, text[begin:]]


def is_no_value(wanted: Any, given: Any, gold: str, answer: str) -> bool:
    """Whether an answer has work left to be done, of a kind that the gold has not."""
    more = _operations(sides(answer)[-1]) - _operations(gold)
    # A product with the gold matrix itself is that of an identity.
    if more.keys() - {"matrix"} or (more and gold.replace(" ", "") not in answer.replace(" ", "")):
        return True
    value, golds = _value(given), _value(wanted)
    return (
        bool(_work(value) - _work(golds))
        or _has_other_variables(value, wanted)
        or (_cancels(value) and not _cancels(golds))
    )


def _operations(text: str) -> Counter[str]:
    """The operations that a text names: each command that does not write a value, and each matrix."""
    found: Counter[str] = Counter()
    found["fraction of a fraction"] = int(_NESTED.search(text) is not None)
    roots = [[int(part) for part in root.groups() if part] for root in _ROOT_OF_FRACTION.finditer(text)]
    found["root of a fraction"] = int(any(math.gcd(*root) > 1 for root in roots))
    for match in _OPERATIONS.finditer(_SCIENTIFIC.sub("", text)):
        name = next(group for group in match.groups() if group)
        if name == "begin":
            name = "determinant" if text.startswith("\\begin{v", match.start() - 1) else "matrix"
        elif name in _VALUES:
            continue
        elif name in FUNCTIONS:
            name = "function"
        elif name.endswith("binom"):
            name = "binom"
        found[name] = found[name] + 1 if name == "matrix" else 1
    return +found


def _value(expression: Any) -> Any:
    """The right side of an equation, or of the last in a chain; anything else as it is."""
    from math_verify.grader import is_equation, take_last_relation

    return take_last_relation(expression).rhs if is_equation(expression) else expression


def _has_other_variables(value: Any, gold: Any) -> bool:
    """Whether a value is written with a variable that the gold has not: `8x/(2x)` for 4."""
    from sympy import Expr

    if not isinstance(value, Expr):
        return False
    return bool({str(one) for one in value.free_symbols} - {str(one) for one in gold.free_symbols} - {"i", "e"})


def _work(expression: Any) -> Counter[str]:
    """The kinds of arithmetic that an expression leaves to be done, and how often."""
    from sympy import Add, Function, Mul, Pow
    from sympy.core.function import AppliedUndef

    found: Counter[str] = Counter()
    parts = [expression]
    while parts:
        part = parts.pop()
        if isinstance(part, Add):
            terms = list(_terms(part))
            bases = [_base(term) for term in terms]
            found["sum"] += len(set(bases)) < len(bases)
            parts += terms
        elif isinstance(part, (Mul, Pow)):
            factors = list(_factors(part, 1))
            found += _undone(factors)
            found["power"] += isinstance(part, Pow) and part.exp in (0, 1)
            parts += [each for factor in factors for each in factor if each is not part]
        else:
            if isinstance(part, Function) and not isinstance(part, AppliedUndef) and part.is_number:
                found[type(part).__name__] = 1
            if str(part) in ("nan", "zoo"):
                found["undefined"] += 1
            parts += part.flat() if hasattr(part, "flat") else getattr(part, "args", ())
    return +found


def _terms(expression: Any) -> Iterator[Any]:
    from sympy import Add

    if isinstance(expression, Add):
        for term in expression.args:
            yield from _terms(term)
    else:
        yield expression


def _factors(expression: Any, exponent: int) -> Iterator[tuple[Any, Any]]:
    """The bases and exponents of a product, and of what is divided by."""
    from sympy import Integer, Mul, Pow

    if isinstance(expression, Mul):
        for factor in expression.args:
            yield from _factors(factor, exponent)
    elif isinstance(expression, Pow) and expression.exp == -1:
        yield from _factors(expression.base, -exponent)
    elif isinstance(expression, Pow):
        yield expression.base, exponent * expression.exp
    else:
        yield expression, Integer(exponent)


def _undone(factors: list[tuple[Any, Any]]) -> Counter[str]:
    """What could be worked out in a product: a number for several, powers of one base, a power or a root of a number.

    One number over another is a number, and a power of ten may stand beside one.
    """
    from sympy import Float, Integer, NumberSymbol, Rational, Symbol

    found: Counter[str] = Counter()
    above = below = tens = powers = 0
    others: list[tuple[Any, Any]] = []
    roots: list[tuple[Any, Any]] = []
    for base, exponent in factors:
        if isinstance(exponent, Float):
            powers += not base.free_symbols
        elif not isinstance(base, (Rational, Float)):
            if isinstance(exponent, Integer) and base.is_number and not base.is_Atom:
                powers += abs(int(exponent)) > 1
            if isinstance(base, (Symbol, NumberSymbol)) and isinstance(exponent, Rational):
                # A factor is the same base again, a root only the same root.
                others.append((base, Integer(1) if exponent.is_Integer else exponent))
        elif base == 0 and exponent.is_negative:
            found["undefined"] += 1
        elif isinstance(exponent, Integer):
            times = int(exponent)
            if base == 10 and abs(times) != 1:
                tens += 1
                continue
            powers += abs(times) != 1
            above += base != -1 and (times > 0 or not isinstance(base, Integer))
            below += base != -1 and times < 0
        elif isinstance(exponent, Rational):
            others.append((Integer(1), exponent))
            roots.append((base, exponent))
            found["root"] += _is_perfect(base, exponent)
    found["power"] += powers
    # A root over a root of a divisor.
    cancels = any(one == -other and not base % divisor for base, one in roots if one > 0 for divisor, other in roots)
    product = (
        cancels or above > 1 or below > 1 or tens > 1 or (tens > 0 and below > 0) or (powers > 0 and above + below > 1)
    )
    found["product"] += product or len(set(others)) < len(others)
    return +found


def _base(term: Any) -> Any:
    """A term without its rational factor: equal bases could be added."""
    from sympy import Float, Integer

    if isinstance(term, Float):
        return Integer(1)
    return term.as_coeff_Mul()[1] if not term.is_Mul else term.func(*(a for a in term.args if not a.is_Rational))


def _is_perfect(base: Any, exponent: Any) -> bool:
    from sympy import Pow

    return base > 0 and exponent.q <= LARGEST_ROOT and Pow(base, exponent).is_Rational is True


def _cancels(expression: Any) -> bool:
    """Whether a fraction of polynomials has a common factor above and below."""
    from sympy import Expr, Mul, gcd, preorder_traversal

    if not isinstance(expression, Expr) or not expression.free_symbols or expression.count_ops() > MOST_OPERATIONS:
        return False
    for part in preorder_traversal(expression):
        if not isinstance(part, Mul):
            continue
        factors = list(_factors(part, 1))
        if not all(exponent.is_Integer and abs(exponent) < MOST_OPERATIONS for _, exponent in factors):
            continue
        above = Mul(*(base**exponent for base, exponent in factors if exponent > 0))
        below = Mul(*(base**-exponent for base, exponent in factors if exponent < 0))
        symbols = below.free_symbols & above.free_symbols
        polynomials = symbols and above.is_polynomial(*symbols) and below.is_polynomial(*symbols)
        if polynomials and gcd(above, below).free_symbols & symbols:
            return True
    return False


def answers_by_equation(wanted: Any, given: Any, answer: str) -> bool:
    """Whether an equation gives an answer to a question whose gold is none; True for all that is no equation."""
    from math_verify.grader import is_equation, is_relation
    from sympy import Set

    if is_relation(wanted):
        # A gold that is solved asks for one that is.
        return not is_solved(wanted) or is_solved(given) or not is_relation(given)
    if not is_relation(given):
        return _is_close(answer)
    if not is_equation(given):
        return isinstance(wanted, Set)
    # What has a unit is converted: 1 \\text{ km} = 1000.
    if _UNIT.search(sides(answer)[0]):
        return True
    first, *others = _sides(given)
    letters = "" if others[-1].free_symbols else sides(answer)[0]
    if not _is_name(first, letters) and first.free_symbols:
        return False
    values = [side for side in (first, *others) if not (_is_name(side) or side.free_symbols)]
    texts = {part.strip() for part in sides(answer)}
    return len(texts) > 1 and all(_is_same(one, other) for one, other in pairwise(values))


def _sides(given: Any) -> list[Any]:
    """The sides of an equation, or of a chain."""
    from sympy.core.relational import Relational

    single = [given] if isinstance(given, Relational) else list(given._unsorted_args)
    return [single[0].lhs, *(one.rhs for one in single)]


def _is_same(one: Any, other: Any) -> bool:
    from math_verify import verify

    return bool(verify([one], [other], timeout_seconds=None))


def _is_close(answer: str) -> bool:
    """Whether the numbers that are said to be about the same are."""
    parts = _APPROXIMATELY.split(answer)
    if len(parts) < 2:
        return True
    read = [found[0] for part in parts if (found := parse(sides(part)[-1]))]
    numbers = [part.evalf() for part in read if getattr(part, "is_number", False)]
    return all(bool(abs(one - other) <= CLOSE * abs(one)) for one, other in pairwise(numbers))


def _is_name(left: Any, text: str = "") -> bool:
    """What is written in letters alone (`x+y`), a symbol, several (`AB`, a tuple), or a function of something."""
    from sympy import E, Function, Mul, Symbol, Tuple

    if re.search("[a-zA-Z]", text) and _LETTERS.fullmatch(text):
        return True
    names = left.args if isinstance(left, (Mul, Tuple)) else [left]
    return all(isinstance(name, (Symbol, Function)) or name in (1, E) for name in names) and left != 1


def is_solved(relation: Any) -> bool:
    """Whether a relation, or each of several, has a symbol on one side and none on the other."""
    from math_verify.grader import is_equation, is_relation, take_first_relation, take_last_relation
    from sympy import Mul, Symbol
    from sympy.core.relational import Relational

    def is_symbol(side: Any) -> bool:
        negative = isinstance(side, Mul) and len(side.args) == 2 and side.args[0] == -1
        return isinstance(side.args[1] if negative else side, Symbol)

    if not is_relation(relation):
        return False
    if is_equation(relation):
        sides = [(take_first_relation(relation).lhs, take_last_relation(relation).rhs)]
    else:
        single = [relation] if isinstance(relation, Relational) else list(relation._unsorted_args)
        sides = [(one.lhs, one.rhs) for one in single]
    return all(any(is_symbol(one) and not other.free_symbols for one, other in (pair, pair[::-1])) for pair in sides)
