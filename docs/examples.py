"""What mkdocstrings does not know of our docstrings: a paragraph that begins with `>>>` is an example."""

import re

import griffe

_EXAMPLE = re.compile(r"(?:^|(?<=\n\n))>>> .*?(?=\n\n(?!>>> )|\Z)", re.DOTALL)


class Examples(griffe.Extension):
    """Puts the heading "Examples:" over the runnable examples, so that they are shown as code."""

    def on_instance(self, *, obj, **_):
        """Mark the examples of one docstring that has no such heading."""
        if obj.docstring and "Examples:" not in obj.docstring.value:
            obj.docstring.value = _EXAMPLE.sub(_as_section, obj.docstring.value)


def _as_section(found):
    return "Examples:\n" + "\n".join("    " + line if line else "" for line in found[0].splitlines())
