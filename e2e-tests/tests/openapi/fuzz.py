#!/usr/bin/env python3
"""Thousands of requests that Schemathesis makes of what each service says of its API in its OpenAPI document: some that are valid by it,
some that are not. Whether each answer is one that the document has is Schemathesis's to judge; what a document cannot say is in rules.py.

  fuzz.py FOLDER EXAMPLES URL...

The tools come from PyPI, pinned, into FOLDER. EXAMPLES bounds the generated requests of each operation in each phase. Exits 1 when an answer is
not as the document has it and no rule explains it, when a rule explains none in a long run, or when it takes too long, 3 when the tools cannot be had.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import tools

HERE = pathlib.Path(__file__).resolve().parent
# All runs together: so long at least, and so much longer for each example. They take a small part of it.
AT_LEAST_S = 300
FOR_EACH_EXAMPLE_S = 30
# With so many examples a rule that explains nothing is one that nobody needs; with fewer it may only have had no occasion.
LONG = 60


def begin(url, examples, report, said):
    command = ["st", "--config-file", HERE / "schemathesis.toml", "run", f"{url}/openapi.json", "--max-examples", examples, "--no-color"]
    own = {"SCHEMATHESIS_HOOKS": "rules", "RULES_UNUSED": str(unused(said)), "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}
    # In a folder of its own it keeps what it learns of an API: nothing is to depend on the run before. What it says goes to a file: a pipe
    # that nobody reads yet would fill, and stop it.
    with said.open("w") as out:
        return subprocess.Popen([str(word) for word in command], env={**os.environ, **own}, cwd=report, stdout=out, stderr=subprocess.STDOUT)


def unused(said):
    """Where the run that says this to a file names the rules that it did without."""
    return said.with_suffix(".unused")


def ended(run, until):
    """How it ended; None when it did not in time."""
    try:
        return run.wait(timeout=max(until - time.monotonic(), 0))
    except subprocess.TimeoutExpired:
        return None


def main():
    _, folder, examples, *urls = sys.argv
    tools.within(folder, "fuzz-requirements.txt")
    within_s = AT_LEAST_S + FOR_EACH_EXAMPLE_S * int(examples)
    until = time.monotonic() + within_s
    wrong = False
    runs = []
    with tempfile.TemporaryDirectory() as report:
        files = [pathlib.Path(report) / f"{number}.txt" for number, _ in enumerate(urls)]
        try:
            for url, said in zip(urls, files):
                runs.append(begin(url, examples, report, said))
            for url, said, run in zip(urls, files, runs):
                code = ended(run, until)
                late = f"\nit did not end within {within_s} s, and was stopped" if code is None else ""
                print(f"== {url}\n{said.read_text(errors='replace')}{late}")
                wrong |= code != 0
            rules = [set(json.loads(unused(said).read_text())) for said in files if unused(said).exists()]
            never = ", ".join(sorted(set.intersection(*rules))) if rules else ""
            if never:
                print(f"rules.py has rules that explained nothing: {never}")
                wrong |= int(examples) >= LONG
        finally:
            # None outlives this program, however it ends.
            for run in runs:
                run.kill()
                run.wait()
    sys.exit(wrong)


main()
