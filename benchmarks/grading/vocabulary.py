"""The words that the policy `tuition-2` knows: units behind a number, and numbers that are written in words.

What: a unit is in the list below, a word of the gold answer, or one plural noun that is no number (`5 apples`, but not
`5 dozens`). Simplified: whether the problem asks for that unit is not seen.
"""

import re
from collections.abc import Collection

WORD = re.compile("[a-zA-Z]+")
FUNCTIONS = frozenset(WORD.findall("sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln lg"))
UNITS = frozenset(
    WORD.findall("""
    m cm mm km nm dm in ft yd mi meter metre centimeter centimetre millimeter millimetre kilometer kilometre inch
    inches foot feet yard mile light nautical
    g kg mg lb lbs oz gram kilogram milligram ton tonne pound ounce
    l ml liter litre milliliter millilitre gallon quart pint cup tablespoon teaspoon cc
    s sec ms h hr hrs min mins am pm second minute hour day week month year decade century centuries old ago
    n j w kw kwh pa k c f v a hz newton joule watt kilowatt volt ampere ohm hertz pascal kelvin celsius fahrenheit mol
    mole bit byte kb mb gb
    deg degree degrees rad radian revolution rpm mph kph kmh kmph
    usd us eur gbp rs rupee dollar cent euro yuan yen pence penny pennies buck rmb
    unit units sq cu square cubic per of each a an the total
    person people man men woman women child children student way time piece item point digit term solution integer
    page mark vote fish sheep p clock o
    """)
)
SYMBOLS = (
    r"(?:[ap]\.?m|km/h|m/s|[cmkdn]?m|[km]?g|m?s|hr?s?|mins?|m?[lL]|ft|in|yd|mi|lbs?|oz|[NJWVK]|Pa|Hz|kWh?|mph|kph|rpm|cc)"
    r"(?:/(?:s|h|min|hr))?(?:\s*\^\s*\{?\s*[23]\s*\}?)?"
)
"""Units that are written with a letter or two: `5 cm^3`, `20 m/s`."""
_ADJECTIVES = frozenset(
    WORD.findall("""
    red blue green yellow black white orange purple pink brown gray grey gold silver
    different distinct possible unique such ordered real positive whole new small large big full
    """)
)
HEDGES = re.compile(
    r"\b(?:not|no|never|wrong|incorrect|false|about|around|approximately|nearly|almost|roughly|close|near|opposite"
    r"|negative|inverse|reciprocal|half|third|quarter|twice|double|triple|thrice|times|least|most|over|under|above|below"
    r"|plus|minus|but|except|exceeds|differs|log|ln|sqrt|squared|cubed|factorial|dozen"
    r"|(?:more|less|fewer|greater|larger|smaller) than"
    r"|(?:square|root|cube|power|multiple|factor|divisor|remainder|sum|product|difference|negation|quotient|percent) of"
    r"|(?:multiplied|divided|increased|decreased) by)\b",
    re.IGNORECASE,
)
"""Words beside a number that make it another one than the answer."""
_NUMBER_NOUN = re.compile(
    r"(?:plus|minus|less|times|gross|dozens|scores|couples|halves|quarters|thirds|ones|twos|threes|fours|fives|sixes"
    r"|sevens|eights|nines|tens|hundreds|thousands|(?:m|b|tr)illions|\w+teens|(?:twen|thir|for|fif|six|seven|eigh|nine)"
    r"ties|\w+ths|this|unless|perhaps|always|is|was|as|us"
    r"|factorials|powers|exponents|multiples|decimals|zeroe?s|basis|percentages|percents|logarithms|negatives|inverses|reciprocals"
    r"|opposites|doubles|triples|others|lies|equals|does|goes|gives|makes|means|leaves|remains|needs|\w+sis)"
)
_SMALL = WORD.findall(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_DECADES = WORD.findall("twenty thirty forty fifty sixty seventy eighty ninety")
_TENS = {name: 10 * n for n, name in enumerate(_DECADES, 2)}
_IN_WORDS = re.compile(
    rf"(?:({'|'.join(_TENS)})(?:[- ]({'|'.join(_SMALL[1:10])}))?|({'|'.join(_SMALL)}))"
    r"(\s+(?:hundred|thousand|million|billion|trillion))?",
    re.IGNORECASE,
)


def words(text: str) -> list[str]:
    """The words of a text of LaTeX, without commands."""
    return re.findall(r"[a-z]+", re.sub(r"\\[a-zA-Z]+", " ", text).lower())


def is_unit(text: str, golds: Collection[str]) -> bool:
    """Whether the words behind a number are its unit; `golds` are the words of the gold answer."""
    if re.search(r"[a-zA-Z]\s+\d", text):
        return False  # `5 times 3`
    unknown = [word for word in words(text) if word not in golds and not _is_listed(word)]
    if len(words(text)) > 1 and unknown and unknown[0] in _ADJECTIVES and unknown[0] != words(text)[-1]:
        del unknown[0]  # `red balls`, `different ways`
    return not unknown or (len(unknown) == 1 and _is_plural(unknown[0]))


def _is_listed(word: str) -> bool:
    return word in UNITS or (word.removesuffix("s") in UNITS and not _NUMBER_NOUN.fullmatch(word))


def _is_plural(word: str) -> bool:
    return len(word) > 3 and word.endswith("s") and not word.endswith("ss") and not _NUMBER_NOUN.fullmatch(word)


def number_in_words(text: str) -> str | None:
    """`five` as `5`, `forty-two thousand` as `42 thousand`; None for other words."""
    found = _IN_WORDS.fullmatch(text.strip())
    if not found:
        return None
    tens, ones, small, scale = (group and group.lower() for group in found.groups())
    value = _SMALL.index(small) if small else _TENS[tens] + (_SMALL.index(ones) if ones else 0)
    return f"{value}{scale or ''}"
