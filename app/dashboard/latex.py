r"""Completions as Markdown that shows their LaTeX and nothing else: no HTML, no link, no image, no other Markdown.

Every letter that Markdown could mean is escaped. Mathematics between $…$, $$…$$, \(…\), \[…\] and a bare \boxed{…} is
handed to KaTeX when all of its commands are among those that only typeset; otherwise it stays as it was written.
"""

import re

MAX_MATH = 600  # our choice: longer formulas are shown as they were written
_TYPESETTING = """
frac dfrac tfrac sqrt cdot times div pm mp le leq ge geq ne neq lt gt approx equiv sim to rightarrow
Rightarrow  implies iff infty pi theta alpha beta gamma delta epsilon lambda mu sigma omega phi
varphi rho tau Delta Sigma  Omega Pi sum prod int lim log ln exp sin cos tan cot sec csc arcsin
arccos arctan min max gcd mod pmod bmod binom  boxed text textbf mathrm mathbf mathbb mathcal
operatorname left right big Big bigg langle rangle lfloor rfloor  lceil rceil mid in notin subset
subseteq cup cap emptyset forall exists cdots ldots dots vdots quad qquad overline  underline vec
hat bar angle circ triangle perp parallel begin end displaystyle prime cong land lor neg
"""
_LAYOUTS = "matrix pmatrix bmatrix vmatrix cases aligned array align"
COMMANDS, ENVIRONMENTS = frozenset(_TYPESETTING.split()), frozenset(_LAYOUTS.split())
MATH = re.compile(
    r"\$\$(?P<a>.+?)\$\$|\$(?P<b>[^$\n]+?)\$|\\\((?P<c>.+?)\\\)|\\\[(?P<d>.+?)\\\]|(?P<e>\\boxed\{(?:[^{}]|\{[^{}]*\})*\})",
    re.DOTALL,
)


def markdown(text: str) -> str:
    """A completion as Markdown; shown, it is the text with its mathematics typeset."""
    parts, end = [], 0
    for found in MATH.finditer(text):
        parts.append(escape(text[end : found.start()]))
        inner = next(group for group in found.groups() if group is not None)
        parts.append(f"${' '.join(inner.split())}$" if _typesets_only(inner) else escape(found.group()))
        end = found.end()
    return "".join([*parts, escape(text[end:])])


def escape(text: str) -> str:
    """Text as Markdown that shows it letter by letter; line breaks stay."""
    # A zero-width space keeps addresses from becoming links, which escaping alone does not.
    broken = re.sub(r"(?i)(https?:|www\.|@)", "\\1\u200b", text)
    escaped = re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", broken)
    return re.sub(r" *\n[ \t]*", "  \n", escaped.replace("\t", " ")).replace("\n  \n", "\n\n")


def _typesets_only(inner: str) -> bool:
    if len(inner) > MAX_MATH or "$" in inner or "`" in inner or not inner.strip():
        return False
    names = re.findall(r"\\([A-Za-z]+)", inner)
    environments = re.findall(r"\\(?:begin|end)\s*\{([^}]*)\}", inner)
    return set(names) <= COMMANDS and set(environments) <= ENVIRONMENTS and inner.count("{") == inner.count("}")
