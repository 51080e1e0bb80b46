"""Texts of entries and leaderboards: types that refuse what would mislead a reader, a browser or a spreadsheet.

What: `Text` is one printable line, `Name` a row's name, `Url` a link to the web, `Hash` a SHA-256; none of them can
hold a password. `alike` says when two names are one to a reader.

Simplified: a name that is wholly in another script passes, though its letters may look like Latin ones; no such name
looks like "direct".
"""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field

from tuition.benchmarks.secret_texts import holds_secret

# Printable to Python, and yet nothing is seen: fillers, joiners, variation selectors, the empty braille cell.
_UNSEEN = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
# Scripts that one language writes together.
_JAPANESE = {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "IDEOGRAPHIC"}


def no_secret(text: str) -> str:
    """The text; ValueError for one with a password or a token, which the message does not repeat."""
    if holds_secret(text):
        raise ValueError("holds a password or a token: leave it out, and change it, as it may have been read")
    return text


def no_surrogates(text: str) -> str:
    """The text; ValueError for one that no file can hold."""
    if re.search(r"[\x00\ud800-\udfff]", text):
        raise ValueError("give text without null bytes and lone surrogates")
    return text


def _plain(text: str) -> str:
    if not text.isprintable() or "<" in text or ">" in text:
        raise ValueError("give printable text without line breaks, control or direction marks, '<' and '>'")
    if not text[0].isalnum():
        raise ValueError("begin with a letter or a digit")
    if unseen := _UNSEEN.search(text):
        raise ValueError(f"holds the invisible letter U+{ord(unseen[0]):04X}: leave it out")
    return no_secret(text)


def one_name(text: str) -> str:
    """A name that is written as it must be: Unicode form NFKC, letters of one script. ValueError for another."""
    composed = unicodedata.normalize("NFKC", text)
    if composed != text:
        raise ValueError(f"write it as {composed!r} (Unicode form NFKC)")
    if text != " ".join(text.split()):
        raise ValueError("give a name without doubled blanks, and without blanks at its ends")
    scripts = {_script(letter): letter for letter in text if letter.isalpha()}
    if len(scripts) > 1 and not scripts.keys() <= _JAPANESE:
        seen = ", ".join(f"{letter!r} is {script.capitalize()}" for script, letter in sorted(scripts.items()))
        raise ValueError(f"mixes letters of several scripts ({seen}): use those of one")
    return text


def _script(letter: str) -> str:
    """The script of a letter, as the first word of its Unicode name."""
    return unicodedata.name(letter, "unnamed").split()[0]


def alike(name: str) -> str:
    """What two names share that a reader takes for one: without case, blanks, accents and punctuation."""
    bare = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    return "".join(letter for letter in bare if letter.isalnum())


# Begins with a letter or digit: a spreadsheet that opens the CSV would run "=…", "+…", "-…" and "@…" as formulas.
Text = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_plain)]
LongText = Annotated[str, Field(min_length=1, max_length=4000), AfterValidator(_plain)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain), AfterValidator(one_name)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Url = Annotated[
    str,
    Field(pattern=r"^https?://[A-Za-z0-9][A-Za-z0-9._~:/?#@!$&()*+,;=%-]*$", max_length=500),
    AfterValidator(no_secret),
]
