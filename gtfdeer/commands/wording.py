"""The library's sentences in the words of the command line: what is a keyword there is an option here.

    "dt=1 was passed but ..; leave dt out"       ->  "--dt 1 was passed but ..; leave --dt out"
    ".. but window=800; pass allow_missing=True"   ->  ".. but --window is 800; pass --allow-missing"

Only options that the command has are named, and only where the sentence speaks of a setting: at its beginning, after
"but", and in the advice after the semicolon. Facts, such as the dt of a series, stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Collection

__all__ = ["in_options"]

_CALLED_OTHERWISE = {"dimension": "delay_embed", "fraction": "test_fraction"}  # keyword: option
_PHRASES = {
    "gtfdeer.fit": "gtfdeer fit",
    "gtfdeer.resume": "gtfdeer fit --resume",
    "Reconstruction.save": "gtfdeer fit",
    "leave that column out": "choose the others with --columns",
    "pass values.T, or wide=True if more columns than time steps are meant": "transpose the table in the file",
}
_VALUE = r"(?P<value>[\w.+'-]*(\(\))?)"
_AMOUNT = r"(?P<amount>smaller|shorter|larger|raise|true) "


def in_options(sentence: str, options: Collection[str]) -> str:
    """The sentence for a command that has these options (names as in its namespace).

    >>> in_options("the file has 600 rows but window=800; pass window=600 or a smaller batch", {"window", "batch"})
    'the file has 600 rows but --window is 800; pass --window 600 or a smaller --batch'
    """
    called = {name: name for name in options} | {k: v for k, v in _CALLED_OTHERWISE.items() if v in options}
    if not called:
        return sentence
    names = "|".join(sorted(called, key=len, reverse=True))
    keyword, name = rf"(?<![\w./'-])(?P<name>{names})={_VALUE}", rf"(?P<name>{names})\b(?!=)"

    def option(found: re.Match[str]) -> str:
        return "--" + called[found["name"]].replace("_", "-")

    def setting(found: re.Match[str]) -> str:
        value = re.sub(r"^gtfdeer\.\w+\.(\w+)\(\)$", r"\1", found["value"])
        return option(found) if value in ("", "True") else f"{option(found)} {value}"

    for here, there in _PHRASES.items():
        sentence = sentence.replace(here, there)
    fact, semicolon, advice = sentence.partition("; ")
    fact = re.sub(rf"^{keyword}", setting, fact)
    fact = re.sub(rf"(?<= but ){keyword}", lambda found: f"{option(found)} is {found['value']}", fact)
    fact = re.sub(rf"^{name}(?= is )", option, fact)
    advice = re.sub(keyword, setting, advice)
    advice = re.sub(rf"(?<=leave ){name}(?= out)", option, advice)
    advice = re.sub(rf"{_AMOUNT}{name}", lambda found: f"{found['amount']} {option(found)}", advice)
    advice = re.sub(rf"(?<= or ){name}(?=, or )", option, advice)
    return f"{fact}{semicolon}{advice}"
