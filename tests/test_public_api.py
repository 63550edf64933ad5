"""The public names: all exist, and nothing else is public."""

import importlib
import tomllib
from pathlib import Path
from types import ModuleType

import scheduler
from scheduler import errors


def test_every_public_name_exists() -> None:
    """``__all__`` is sorted, without doubles, and true."""
    assert sorted(set(scheduler.__all__)) == scheduler.__all__
    assert [name for name in scheduler.__all__ if not hasattr(scheduler, name)] == []


def test_nothing_else_is_public() -> None:
    """What is not in ``__all__`` is a room of the package or begins with an underscore."""
    others = set(vars(scheduler)) - set(scheduler.__all__)
    public = {name for name in others if not name.startswith("_")}
    assert {name for name in public if not isinstance(getattr(scheduler, name), ModuleType)} == set()


def test_all_errors_are_public() -> None:
    """Every error can be caught by its public name, and the tree in the docstring draws all."""
    names = {
        name for name, value in vars(errors).items() if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert names <= set(scheduler.__all__)
    assert [name for name in names if name not in (errors.__doc__ or "")] == []


def test_the_version_is_the_distribution_s() -> None:
    """The version stands in two places, which agree."""
    file = Path(__file__).parent.parent / "pyproject.toml"
    assert tomllib.loads(file.read_text())["project"]["version"] == scheduler.__version__
    assert importlib.import_module("scheduler").__version__ == scheduler.__version__
