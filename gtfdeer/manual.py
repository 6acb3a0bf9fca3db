"""Where the manual says more than an error message can."""

from __future__ import annotations

from ._version import __version__

__all__ = ["trouble"]

_PAGE = f"https://github.com/gtfdeer/gtfdeer/blob/v{__version__}/docs/trouble.md"


def trouble(heading: str) -> str:
    """The address of a heading on the page "When it goes wrong".

    >>> trouble("no-gpu").rsplit("/", 1)[1]
    'trouble.md#no-gpu'
    """
    return f"{_PAGE}#{heading}"
