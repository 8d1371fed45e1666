"""Other people's tools for these tests: from PyPI, pinned, each list of them in an environment of its own that is made once. Not the tests."""
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent


def within(folder, requirements):
    """Goes on inside the environment of that list of tools, below that folder. Exits with 3 when they cannot be had."""
    listed = HERE / requirements
    name = hashlib.sha256(listed.read_bytes()).hexdigest()[:12]
    home = pathlib.Path(folder) / f"openapi-{name}"
    if pathlib.Path(sys.prefix).resolve() == home.resolve():
        return
    if not (home / "complete").exists():
        shutil.rmtree(home, ignore_errors=True)
        venv.create(home, with_pip=True)
        pip = [home / "bin/python", "-m", "pip", "--disable-pip-version-check"]
        # What is not on the list is not installed, and missed by name: another Python may need more.
        install = [*pip, "install", "--quiet", "--no-deps", "--only-binary=:all:", "--requirement", listed]
        if subprocess.run(install).returncode or subprocess.run([*pip, "check"], stdout=sys.stderr).returncode:
            print("the tools cannot be had; is a Python package index reached?", file=sys.stderr)
            sys.exit(3)
        (home / "complete").touch()
    os.environ["PATH"] = f"{home / 'bin'}:{os.environ['PATH']}"
    os.execv(home / "bin/python", [home / "bin/python", *sys.argv])
