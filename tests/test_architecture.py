"""The house in one table: who may import whom, and what no file may do. Read with `ast`, nothing is imported."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "gtfdeer"

# Each room may import itself, the rooms named here, and nothing else of the package. Downwards only.
BELOW_MODELS = {"_checks", "forcing", "solvers"}
MAY_IMPORT = {
    "_checks": {"_version"},
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
    "matplotlib": {"plots", "explorables"},
}
NOWHERE = {"matplotlib.pyplot", "pylab", "pickle"}
LONGEST = {"__main__.py": 558}  # lines; all others 350
PRINTS = {"__main__"}  # programs: they talk to a person

FILES = sorted(PACKAGE.rglob("*.py"))


def name(path):
    return str(path.relative_to(PACKAGE))


def part_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def for_type_checkers(tree):
    """Everything inside `if TYPE_CHECKING:`."""
    blocks = [n for n in ast.walk(tree) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    return {node for block in blocks for node in ast.walk(block)}


def imports(path, *, annotations=True):
    """Absolute names of everything that a file imports: `from .a import b` in the package is `gtfdeer.a.b`."""
    here = ("gtfdeer", *path.relative_to(PACKAGE).parent.parts)
    tree = tree_of(path)
    skipped = set() if annotations else for_type_checkers(tree)
    for node in set(ast.walk(tree)) - skipped:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(here[: len(here) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (above, node.module)))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def own(path):
    """The parts of the package that a file imports, its own excluded."""
    parts = {found.split(".")[1] for found in imports(path) if found.startswith("gtfdeer.")}
    return parts - {part_of(path)}


def libraries(path):
    return {found.split(".")[0] for found in imports(path, annotations=False)}


every_file = pytest.mark.parametrize("path", FILES, ids=name)


def test_every_part_has_its_place_in_the_table():
    assert {part_of(path) for path in FILES} <= MAY_IMPORT.keys() | LEAVES


def test_no_public_module_shares_a_name_with_a_public_function():
    """`gtfdeer.fit` is a function: a module of that name would replace it when imported."""
    rooms = [path for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()]
    for room in (PACKAGE, *rooms):
        modules = {path.stem for path in room.iterdir() if path.suffix == ".py" or path.is_dir()}
        package = importlib.import_module(".".join(("gtfdeer", *room.relative_to(PACKAGE).parts)))
        functions = {name for name in package.__all__ if inspect.isfunction(getattr(package, name))}
        assert not modules & functions


@every_file
def test_imports_go_downwards(path):
    part = part_of(path)
    if part in LEAVES:
        assert own(path) & LEAVES <= LEAVES_MAY_IMPORT.get(part, set())
    else:
        assert own(path) <= MAY_IMPORT[part]


@every_file
def test_leaves_use_public_names_of_other_rooms(path):
    """What a panel or the command line needs of another room stands in that room's `__init__`."""
    if part_of(path) in LEAVES - {"__init__"}:
        private = [f for f in imports(path) for part in f.split(".")[2:] if part.startswith("_")]
        assert not [found for found in private if found.split(".")[1] != part_of(path)]


@every_file
def test_libraries_stay_in_their_rooms(path):
    for library, rooms in ONLY_IN.items():
        assert library not in libraries(path) or part_of(path) in rooms, f"{library} belongs to {sorted(rooms)}"


@every_file
def test_some_libraries_have_no_room_at_all(path):
    assert not [found for found in imports(path) for bad in NOWHERE if f"{found}.".startswith(f"{bad}.")]


@every_file
def test_files_can_be_read_in_one_sitting(path):
    assert path.name != "utils.py"
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST.get(name(path), 350)


@every_file
def test_numerical_code_does_not_print(path):
    calls = [n.func for n in ast.walk(tree_of(path)) if isinstance(n, ast.Call)]
    prints = [f for f in calls if isinstance(f, ast.Name) and f.id == "print"]
    assert not prints or part_of(path) in PRINTS


@every_file
def test_jaxtyping_is_for_type_checkers_only(path):
    """Colab lacks it: the package must run without."""
    assert "jaxtyping" not in libraries(path)


@every_file
def test_randomness_enters_by_key_or_seed(path):
    """No global seed is set, no global generator drawn from."""
    text = path.read_text(encoding="utf-8")
    drawn = [
        f"np.random.{f}(" for f in ("seed", "rand", "randn", "normal", "uniform", "choice", "shuffle", "permutation")
    ]
    assert not [call for call in (*drawn, "random.seed(") if call in text]
