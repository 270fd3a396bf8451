"""Stands for `pip install 'pipec[extra]'` in the README's blocks: the extra must exist; nothing is installed."""

import re
import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
for word in sys.argv[2:]:
    found = re.fullmatch(r"pipec(?:\[(\w+)\])?", word)
    if not found or (found[1] and found[1] not in project["optional-dependencies"]):
        sys.exit(f"pip: {word} is not what this project is called, or has no such extra")
