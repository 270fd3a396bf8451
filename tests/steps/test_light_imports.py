from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pipec

HEAVY = ("fsspec", "numpy", "pandas", "safetensors", "sklearn", "skops", "torch")


def test_the_model_steps_import_nothing_heavy():
    code = (
        "import sys, pipec.steps.train, pipec.steps.evaluate, pipec.steps.approve, pipec.steps.deploy; "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(pipec.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout == "[]\n"
