#!/usr/bin/env python3
"""Thousands of requests that Schemathesis makes of what each service says of its API in its OpenAPI document: some that are valid by it,
some that are not. Whether each answer is one that the document has is Schemathesis's to judge; what a document cannot say is in rules.py.

  fuzz.py FOLDER EXAMPLES URL...

The tools come from PyPI, pinned, into FOLDER. EXAMPLES bounds the generated requests of each operation in each phase. Exits 1 when an answer is
not as the document has it and no rule explains it, 3 when the tools cannot be had.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

import tools

HERE = pathlib.Path(__file__).resolve().parent


def begin(url, examples, report):
    command = ["st", "--config-file", HERE / "schemathesis.toml", "run", f"{url}/openapi.json", "--max-examples", examples, "--no-color"]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "rules", "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}
    # Where it keeps what it learns of an API: nothing is to depend on the run before.
    return subprocess.Popen([str(word) for word in command], env=environment, cwd=report, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def main():
    _, folder, examples, *urls = sys.argv
    tools.within(folder, "fuzz-requirements.txt")
    wrong = False
    with tempfile.TemporaryDirectory() as report:
        runs = [begin(url, examples, report) for url in urls]
        for url, run in zip(urls, runs):
            said, _ = run.communicate()
            print(f"== {url}\n{said}")
            wrong |= run.returncode != 0
    sys.exit(wrong)


main()
