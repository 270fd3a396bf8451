"""A stand-in for the step runtime that keeps its contract with the engine and misbehaves as its parameters say.

Started as `python -I -S stub_step.py CALL`; standard library only, so that it starts in a few milliseconds.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

call = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
say = call["parameters"]
base, task = Path(call["base"]), call["task"]


def digest(path):
    def of_bytes(data):
        return "sha256:" + hashlib.sha256(data).hexdigest()

    if path.is_file():
        return of_bytes(path.read_bytes())
    tree = [[p.relative_to(path).as_posix(), digest(p)] for p in sorted(path.rglob("*")) if p.is_file()]
    return of_bytes(json.dumps({"tree": tree}, sort_keys=True, separators=(",", ":")).encode())


def end(code, outcome, message="", **more):
    result = {"format": "1", "outcome": outcome, "message": message, "values": {}, "artifacts": {}, "inputs": {}}
    Path(call["result"]).write_text(json.dumps({**result, **more}), encoding="utf-8")
    if message and not say.get("mute"):
        print(message, file=sys.stderr)
    sys.stdout.flush()
    os._exit(code)


with (base / "ledger.txt").open("a", encoding="utf-8") as ledger:
    ledger.write(f"{task}\n")
turn = (base / "ledger.txt").read_text(encoding="utf-8").split("\n").count(task)

if say.get("deaf"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if say.get("child"):  # a grandchild in a session of its own that holds our pipes
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"], start_new_session=True)
    (base / f"{task}.child").write_text(str(child.pid), encoding="utf-8")
if say.get("print"):
    print(say["print"], file=sys.stderr, flush=True)
if say.get("reveal"):
    print("it is", os.environ[say["reveal"]], flush=True)
    (base / f"{task}.revealed").write_text(os.environ[say["reveal"]], encoding="utf-8")
if say.get("meet"):  # wait until this many tasks of the run are at it together
    (base / f"{task}.here").touch()
    while len(list(base.glob("*.here"))) < say["meet"]:
        time.sleep(0.005)
if say.get("until"):  # a file
    while not (base / say["until"]).exists():
        time.sleep(0.005)
if say.get("touch"):
    (base / say["touch"]).touch()
if turn <= say.get("fails", 0):
    if say.get("signal"):
        os.kill(os.getpid(), say["signal"])
    end(say.get("code", 1), "failed", say.get("cause", "it broke: mend it"))
if call["decision"] is not None:
    given = Path(call["decision"])
    if not given.exists():
        end(75, "parked", "nobody has decided yet")
    decided = json.loads(given.read_text(encoding="utf-8"))
    if decided["by"] not in say.get("approvers", [decided["by"]]):
        end(3, "refused", f"`{decided['by']}` may not decide here")
    if decided["decision"] == "reject":
        end(3, "refused", "it was rejected")

read = {name: [Path(base, place["uri"]) for place in places] for name, places in call["inputs"].items()}
text = say.get("text", "") + "".join(
    path.read_text(encoding="utf-8") if path.is_file() else f"[{path.name}]"
    for paths in read.values()
    for path in paths
)
outputs = Path(call["outputs"]["*"])
for name in say.get("writes", []):
    (outputs / name).write_text(f"{name}:{text}", encoding="utf-8")
for name in say.get("folders", []):
    (outputs / name / "below").mkdir(parents=True)
    (outputs / name / "a.txt").write_text(text, encoding="utf-8")
    (outputs / name / "below" / "b.txt").write_text("b", encoding="utf-8")
artifacts = {name: {"type": "Dataset", "digest": digest(outputs / name)}
             for name in [*say.get("writes", []), *say.get("folders", [])]}  # fmt: skip
for name in say.get("forgets", []):
    (outputs / name).unlink()
for name in say.get("garbles", []):
    (outputs / name).write_text("other bytes", encoding="utf-8")
if say.get("silent"):
    os._exit(0)
end(
    0, "succeeded", values=say.get("values", {}), artifacts=artifacts,
    inputs={name: [digest(path) for path in paths] for name, paths in read.items()},
)  # fmt: skip
