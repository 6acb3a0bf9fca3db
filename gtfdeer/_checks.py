"""Where the manual says more than an error message can, and what to type to install the package."""

from __future__ import annotations

from ._version import __version__

__all__ = ["package", "trouble"]

_REPOSITORY = "https://github.com/gtfdeer/gtfdeer"
_PAGE = f"{_REPOSITORY}/blob/v{__version__}/docs/trouble.md"


def trouble(heading: str) -> str:
    """The address of a heading on the page "When it goes wrong".

    >>> trouble("no-gpu").rsplit("/", 1)[1]
    'trouble.md#no-gpu'
    """
    return f"{_PAGE}#{heading}"


def package(extra: str = "") -> str:
    """What `pip install` takes: the repository, as the name is not ours in a registry.

    >>> package("lab")
    "'gtfdeer[lab] @ git+https://github.com/gtfdeer/gtfdeer'"
    """
    return f"'gtfdeer{extra and f'[{extra}]'} @ git+{_REPOSITORY}'"
