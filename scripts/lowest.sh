#!/usr/bin/env bash
# Run the tests with the oldest releases that install_requires in setup.cfg allows: a lower bound that fails here is a false promise.
# usage: scripts/lowest.sh [TRIAL ARGUMENTS]
set -euo pipefail
cd "$(dirname "$0")/.."

python3 -m venv --clear build/lowest
python=build/lowest/bin/python
$python - > build/lowest/constraints.txt <<'PYTHON'
import configparser
import re

setup = configparser.ConfigParser(interpolation=None)
setup.read("setup.cfg")
for line in setup["options"]["install_requires"].split():
    name, bound = re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", line).groups()
    print(f"{name}=={bound}")
PYTHON
cat build/lowest/constraints.txt
$python -m pip install --quiet --disable-pip-version-check --constraint build/lowest/constraints.txt --editable '.[test]'
$python -m twisted.trial --temp-directory=build/trial-lowest "${@:-tests}"
