"""The built wheel works by itself: templates, migrations and static files are in it."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    (built,) = out.glob("*.whl")
    return built


def test_everything_that_is_no_code_is_in_the_wheel(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "digest/templates/email/issue/body.mjml",
        "digest/templates/web/base.html",
        "digest/templates/web/static/site.css",
        "digest/migrations/versions/0001_first.py",
        "digest/py.typed",
        "subscribers/py.typed",
    ):
        assert wanted in names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "templates/"))]


def test_in_an_empty_environment_the_demonstration_works(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(pip, check=True, capture_output=True, timeout=120)
    # The pinned libraries are borrowed from this environment, since nothing may be fetched here. A path in a .pth file
    # brings no .pth files of its own along, so the project's editable installation is not borrowed with them.
    (site,) = home.glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = [str(python), "-c", "import digest, subscribers; print(digest.__file__, subscribers.__file__)"]
    found = subprocess.run(where, check=True, capture_output=True, text=True, cwd=tmp_path, timeout=60).stdout
    assert found.count(str(home)) == 2
    demo = [str(home / "bin" / "digest"), "demo", "--once", "--port", "0"]
    done = subprocess.run(demo, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every reader got exactly one issue." in done.stdout
