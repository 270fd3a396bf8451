"""A container engine of a test: answers as docker does, and runs a "container" as a process of this machine.

Started as `docker_stand_in.py WORD...` with the folder of its images and records in DOCKER_STAND_IN. An image is a file
there, named as the image with `/` as `%`, holding its architecture. What it is asked is appended to `asked.jsonl`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

root = Path(os.environ["DOCKER_STAND_IN"])
words = sys.argv[1:]
with (root / "asked.jsonl").open("a", encoding="utf-8") as asked:
    asked.write(json.dumps(words) + "\n")


def fail(message, code=1):
    print(message, file=sys.stderr)
    sys.exit(code)


def image(name):
    path = root / name.replace("/", "%")
    if not path.exists():
        fail(f"Error: No such image: {name}")
    return {"Id": f"sha256:{name}", "Architecture": path.read_text(encoding="utf-8")}


def state(name):
    path = root / f"{name}.state"
    if not path.exists():
        fail(f"Error: No such object: {name}")
    return path


def run():
    options = [word for word in words[1:] if word.startswith("--")]
    if any(word.startswith("--gpus") for word in options) and not (root / "gpu").exists():
        fail('docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].', 125)
    if any("no/such/program" in word for word in options):
        fail("docker: stat /no/such/program: no such file or directory", 127)
    name = words[words.index("--name") + 1]
    if (root / "refuses").exists():
        (root / f"{name}.state").write_text(json.dumps({"Status": "created"}), encoding="utf-8")
        fail((root / "refuses").read_text(encoding="utf-8"), 125)
    (root / f"{name}.state").write_text(json.dumps({"Status": "running"}), encoding="utf-8")
    stub = [sys.executable, "-I", "-S", str(Path(__file__).with_name("stub_step.py")), words[-1]]
    code = subprocess.run(stub, check=False).returncode
    code = 128 - code if code < 0 else code  # as a shell has it
    is_oom = (root / "small").exists()
    body = {"Status": "exited", "OOMKilled": is_oom, "ExitCode": code}
    (root / f"{name}.state").write_text(json.dumps(body), encoding="utf-8")
    sys.exit(137 if is_oom else code)


match words:
    case ["info", *_]:
        told = root / "info"
        usual = json.dumps({"NCPU": 4, "Architecture": "x86_64", "SecurityOptions": ["name=seccomp"]})
        print(told.read_text(encoding="utf-8") if told.exists() else usual)
    case ["image", "inspect", "--", name]:
        print(json.dumps([image(name)]))
    case ["pull", *_, name]:
        if not (root / "registry").exists():
            fail(f"Error response from daemon: pull access denied for {name}, repository does not exist")
        (root / name.replace("/", "%")).write_text("amd64", encoding="utf-8")
    case ["container", "inspect", "--", name]:
        print(json.dumps([{"State": json.loads(state(name).read_text(encoding="utf-8"))}]))
    case ["rm", "--force", name]:
        (root / f"{name}.state").unlink(missing_ok=True)
    case ["run", *_]:
        run()
    case _:
        fail(f"the stand-in does not know {words}")
