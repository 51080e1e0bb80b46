"""Passwords and tokens, known by their form: what a command or an address loses before it is kept or shown.

>>> without_secrets("tuition search --storage postgresql://me:secret@host/db")
'tuition search --storage postgresql://me@host/db'
"""

import re

# user:password@host of an address, and settings or tokens that are secrets by their form. A password may hold "/" and
# "@"; what begins with digits and a slash is a port.
_SECRETS = {
    re.compile(r"(://[^/\s@:]*):(?!\d+/)[^\s'\"]*@"): r"\1@",
    re.compile(r"(?i)\b((?:pg|ssl)?(?:password|passwd|pwd))=(?:[^\s&'\"]+|[^\s&]+)"): r"\1 left out",
    re.compile(r"\bhf_[A-Za-z0-9]{30,}"): "token left out",
}
"""What stands in a text instead, by pattern."""
_IN_A_WORD = re.compile(r"(://[^/\s@:]*):(?!\d+/).*@", flags=re.DOTALL)


def holds_secret(text: str) -> bool:
    """Whether a text holds a password or a token, as far as its form tells."""
    return any(pattern.search(text) for pattern in _SECRETS)


def without_secrets(text: str) -> str:
    """A text without its passwords and tokens, such as a command that is kept with what it made."""
    for pattern, instead in _SECRETS.items():
        text = pattern.sub(instead, text)
    return text


def word_without_secrets(word: str) -> str:
    """The same for one argument of a command, which may hold spaces and quotes."""
    return without_secrets(_IN_A_WORD.sub(r"\1@", word))
