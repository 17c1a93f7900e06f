"""The `digest` command that the Makefile writes into a checkout's environment, as `make run` leaves it."""

import os
import re
import site
import subprocess
import venv
from pathlib import Path

import pytest

from subscribers.transfer.bringing import LARGE

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def command(tmp_path: Path) -> Path:
    """The command, in an environment of its own that has the libraries of the present one."""
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    text = re.search(r"^define COMMAND\n(.*?)^endef$", (ROOT / "Makefile").read_text(), re.MULTILINE | re.DOTALL)
    assert text
    subprocess.run([python, "-c", text[1]], cwd=ROOT, check=True)
    (packages,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (packages / "libraries.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return python.with_name("digest")


def test_it_imports_a_file_that_a_second_process_reads(command: Path, tmp_path: Path):
    folder = tmp_path / "desk"
    row = "{}@example.org,2024-01-01 10:00:00," + "x" * 20_000 + "\n"
    rows = LARGE // 20_000 + 10
    digest(command, tmp_path, "init", "desk")
    (folder / "big.csv").write_text("mail,when,note\n" + "".join(row.format(f"reader{n}") for n in range(rows)))
    words = ("-n", "watchdog", "--map", "email=mail,confirmed_at=when", "--yes")
    said = digest(command, folder, "subscribers", "import", "big.csv", *words)
    assert f"done: {rows} people changed" in said


def digest(command: Path, folder: Path, *words: str) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DIGEST_")}
    words = (str(command), *words)
    done = subprocess.run(words, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout
