"""The house in one table: who may import whom, and what no file may do. Read with `ast`; one test a rule.

That numerical code does not print and draws from no global generator is ruff's to say (T20, NPY).
"""

import ast
import importlib
import inspect
import re
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "gtfdeer"

# Each room may import itself, the rooms named here, and nothing else of the package. Downwards only.
BELOW_MODELS = {"_checks", "forcing", "solvers"}
MAY_IMPORT = {
    "_checks": set(),
    "forcing": {"_checks"},
    "solvers": {"_checks"},
    "data": {"_checks"},
    "measures": {"_checks"},
    "models": BELOW_MODELS,
    "training": BELOW_MODELS | {"data", "measures", "models"},
    "plots": set(),
}
# The front door and the leaves may import anything; nobody imports them, but the front door may name the panels.
LEAVES = {"__init__", "__main__", "explorables"}
LEAVES_MAY_IMPORT = {"__init__": {"explorables"}}

# Libraries that only some parts may import.
ONLY_IN = {
    "flax": {"models", "training", "explorables", "__main__"},
    "optax": {"training"},
    "anywidget": {"explorables"},
    "ipywidgets": {"explorables"},
    "matplotlib": {"plots"},
    "jax": MAY_IMPORT.keys() | LEAVES - {"plots"},
    "jaxtyping": set(),  # for type checkers only: Colab lacks it
}
NOWHERE = {"matplotlib.pyplot", "pylab", "pickle"}
LONGEST = {"__main__.py": 450}  # lines; all others 350

FILES = sorted(PACKAGE.rglob("*.py"))


def part_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path, *, annotations=True):
    """Absolute names of everything that a file imports: `from .a import b` in the package is `gtfdeer.a.b`."""
    here, found = ("gtfdeer", *path.relative_to(PACKAGE).parent.parts), set()
    blocks = [n for n in ast.walk(tree_of(path)) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    skipped = set() if annotations else {node for block in blocks for node in ast.walk(block)}
    for node in set(ast.walk(tree_of(path))) - skipped:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(here[: len(here) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (above, node.module)))
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def own(path):
    """The parts of the package that a file imports, its own excluded."""
    return {found.split(".")[1] for found in imports(path) if found.startswith("gtfdeer.")} - {part_of(path)}


def breaking(rule):
    """The files that break a rule, named."""
    return [str(path.relative_to(PACKAGE)) for path in FILES if rule(path)]


def test_no_public_module_shares_a_name_with_a_public_function():
    """`gtfdeer.fit` is a function: a module of that name would replace it when imported."""
    rooms = [path for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()]
    for room in (PACKAGE, *rooms):
        modules = {path.stem for path in room.iterdir() if path.suffix == ".py" or path.is_dir()}
        package = importlib.import_module(".".join(("gtfdeer", *room.relative_to(PACKAGE).parts)))
        functions = {name for name in package.__all__ if inspect.isfunction(getattr(package, name))}
        assert not modules & functions


def test_imports_go_downwards():
    assert {part_of(path) for path in FILES} <= MAY_IMPORT.keys() | LEAVES
    for path in FILES:
        part = part_of(path)
        if part in LEAVES:
            assert own(path) & LEAVES <= LEAVES_MAY_IMPORT.get(part, set()), path
        else:
            assert own(path) <= MAY_IMPORT[part], path


def test_leaves_use_public_names_of_other_rooms():
    """What a panel or the command line needs of another room stands in that room's `__init__`."""

    def reaches_inside(path):
        private = [f.split(".") for f in imports(path) if re.search(r"^gtfdeer\.\w+\.(.*\.)?_", f)]
        return part_of(path) in LEAVES - {"__init__"} and any(f[1] != part_of(path) for f in private)

    assert not breaking(reaches_inside)


def test_libraries_stay_in_their_rooms():
    for library, rooms in ONLY_IN.items():
        used = [path for path in FILES if any(f.split(".")[0] == library for f in imports(path, annotations=False))]
        assert {part_of(path) for path in used} <= rooms, library
    assert not breaking(lambda path: any(f"{f}.".startswith(f"{bad}.") for f in imports(path) for bad in NOWHERE))


def test_files_can_be_read_in_one_sitting():
    def too_long(path):
        return len(path.read_text(encoding="utf-8").splitlines()) > LONGEST.get(str(path.relative_to(PACKAGE)), 350)

    assert not breaking(too_long)
    assert not breaking(lambda path: path.name == "utils.py")
