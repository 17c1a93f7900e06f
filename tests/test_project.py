"""The project's own files: what is pinned, what is promised, what must not be there."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def tracked() -> list[Path]:
    """The files that the project consists of."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False
    ).stdout.split("\0")
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_every_dependency_is_pinned_with_hashes_and_no_index_is_named(name: str) -> None:
    text = (ROOT / name).read_text()
    pins = re.findall(r"^[a-z0-9][\w.\[\]-]*==\S+", text, re.MULTILINE)
    assert len(pins) > 20
    blocks = re.split(r"\n(?=[a-z0-9])", text)
    assert all("--hash=sha256:" in block for block in blocks if "==" in block.split("\n")[0])
    assert "://" not in text


def test_the_lock_has_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {re.split(r"[\[<>=]", one)[0] for one in project["dependencies"]}
    pinned = set(
        re.findall(r"^([a-z0-9][\w.-]*)(?:\[[\w,]+\])?==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    )
    assert asked <= pinned
    assert project["license"] == "Apache-2.0"


def test_compose_is_valid() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout


def test_nothing_names_a_registry_or_a_place_of_one_machine() -> None:
    # Written so that this file does not contain what it looks for.
    forbidden = re.compile("|".join(["py" + r"pi\.org", "pythonhosted" + r"\.org", "/ro" + "ot/", "/wo" + "rk/"]))
    found = [path for path in tracked() if path.suffix not in (".png", ".lock") and forbidden.search(_text(path))]
    assert found == []


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
