"""The table of environments is whole."""

from pathlib import Path

import matrix


def test_every_file_of_tests_has_an_environment() -> None:
    """No file of tests beside this one is left out, and none is listed that is not there."""
    files = {path.name for path in Path(__file__).parent.glob("test_*.py")} - {Path(__file__).name}
    assert {name for environment in matrix.ENVIRONMENTS for name in environment.tests} == files


def test_all_versions_are_pinned() -> None:
    """A release of somebody else's turns nothing red."""
    requirements = {wanted for environment in matrix.ENVIRONMENTS for wanted in environment.requirements}
    assert [wanted for wanted in sorted(requirements) if "==" not in wanted] == []


def test_an_environment_is_made_anew_when_what_it_is_made_of_changes() -> None:
    """Folders are named after all that goes in: two environments never share one."""
    changed = [
        matrix.Environment("one", ("a==1",), ("test_a.py",)).folder,
        matrix.Environment("one", ("a==2",), ("test_a.py",)).folder,
        matrix.Environment("two", ("a==1",), ("test_a.py",)).folder,
    ]
    assert len(set(changed)) == 3
    assert matrix.Environment("one", ("a==1",), ()).folder == changed[0]
