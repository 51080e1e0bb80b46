r"""What is no final answer although its value is right: arithmetic that is left to be done, and mere equations.

What: the trees that math-verify parses are not evaluated, so that what was written can be seen in them; what they
evaluate at once (binomials, gcd, division) is looked for in the text.
"""

import re
from typing import Any

_OPERATORS = re.compile(
    r"\\(?:int|iint|iiint|oint|sum|prod|lim|limsup|liminf|[dt]?binom|choose|gcd|lcm|det|max|min|sup|inf|b?mod|pmod"
    r"|deg|lfloor|lceil|left\s*\\lfloor|left\s*\\lceil|Re|Im|frac\s*\{\s*(?:d|\\partial|\\mathrm\s*\{\s*d\s*\})\s*\})(?![a-zA-Z])"
    r"|\\operatorname\s*\{[^{}]*\}|\\(?:text|mathrm)\s*\{\s*(?:gcd|lcm|GCD|LCM|mod|max|min)\s*\}|\b(?:gcd|lcm|mod|max|min)\b"
)
_DIVIDED = re.compile(r"\d\s*\\div\s*\d")
_UNIT = re.compile(r"\\(?:\$|text|mathrm)")


def sides(text: str) -> list[str]:
    """The parts between a text's equals signs, but for those in braces, such as a sum's."""
    parts, depth, begin = [], 0, 0
    for match in re.finditer(r"\\[{}\\]|[{}]|(?<![\\<>!])=", text):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if match[0] == "=" and depth == 0:
            parts.append(text[begin : match.start()])
            begin = match.end()
    return [*parts, text[begin:]]


def is_unevaluated(wanted: Any, given: Any, gold: str, answer: str) -> bool:
    """Whether an answer has work left to be done, of a kind that the gold has not."""
    part = sides(answer)[-1]
    operators = {_name(found) for found in _OPERATORS.findall(part)} - {_name(f) for f in _OPERATORS.findall(gold)}
    if operators:
        return True
    if _DIVIDED.search(part) and not _DIVIDED.search(gold):
        return True
    return bool(_work(_value(given)) - _work(_value(wanted)))


def _name(operator: str) -> str:
    name = re.sub(r"\\(?:left|operatorname|text|mathrm)|[\\{}\s]", "", operator).lower()
    return "binom" if name.endswith("binom") else name


def _value(expression: Any) -> Any:
    """The right side of an equation, or of the last in a chain; anything else as it is."""
    from math_verify.grader import is_equation, take_last_relation

    return take_last_relation(expression).rhs if is_equation(expression) else expression


def _work(expression: Any) -> set[str]:
    """The kinds of arithmetic that an expression leaves to be done."""
    from sympy import Add, Float, Function, Integer, Mul, Pow, Rational, preorder_traversal
    from sympy.core.function import AppliedUndef

    found: set[str] = set()
    for part in preorder_traversal(expression):
        if isinstance(part, Add):
            bases = [_base(term) for term in part.args]
            if len(set(bases)) < len(bases):
                found.add("sum")
        elif isinstance(part, Mul):
            factors = [factor for factor in part.args if isinstance(factor, (Rational, Float)) and factor != -1]
            powers_of_ten = [f for f in part.args if isinstance(f, Pow) and f.base == 10 and f.exp.is_Integer]
            if len(factors) > 1 or (factors and len(powers_of_ten) > 1):
                found.add("product")
        elif isinstance(part, Pow) and isinstance(part.base, (Rational, Float)):
            if isinstance(part.exp, Integer) and part.exp != -1 and part.base != 10:
                found.add("power")
            elif isinstance(part.exp, Rational) and not isinstance(part.exp, Integer) and _is_perfect(part):
                found.add("root")
        elif isinstance(part, Function) and not isinstance(part, AppliedUndef) and part.is_number:
            found.add(type(part).__name__)
    return found


def _base(term: Any) -> Any:
    """A term without its rational factor: equal bases could be added."""
    from sympy import Float, Integer

    if isinstance(term, Float):
        return Integer(1)
    return term.as_coeff_Mul()[1] if not term.is_Mul else term.func(*(a for a in term.args if not a.is_Rational))


def _is_perfect(power: Any) -> bool:
    from sympy import Pow

    value = Pow(power.base, power.exp)
    return power.base.is_positive is True and value.is_Rational is True


def answers_by_equation(wanted: Any, given: Any, answer: str) -> bool:
    """Whether an equation gives an answer to a question whose gold is none; True for all that is no equation."""
    from math_verify.grader import is_equation, is_relation, take_first_relation, take_last_relation
    from sympy import Set, Symbol

    if is_relation(wanted):
        # A gold that is solved asks for one that is.
        return not is_solved(wanted) or is_solved(given) or not is_relation(given)
    if not is_relation(given):
        return True
    if not is_equation(given):
        return isinstance(wanted, Set)
    left, right = take_first_relation(given).lhs, take_last_relation(given).rhs
    # What has a unit is converted: 1 \\text{ km} = 1000.
    if _is_name(left) or _UNIT.search(sides(answer)[0]):
        return True
    if left.free_symbols and not isinstance(left, Symbol):
        return False
    from math_verify import verify

    return bool(verify([right], [left], timeout_seconds=None)) and str(left) != str(right)


def _is_name(left: Any) -> bool:
    """A symbol, several in a row (`AB`), or a function of something."""
    from sympy import E, Function, Mul, Symbol

    if isinstance(left, Mul):
        return all(isinstance(factor, Symbol) or factor == E for factor in left.args)
    return isinstance(left, (Symbol, Function)) or left == E


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
