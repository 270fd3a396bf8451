"""Texts that nobody should have written: shared by the tests and the soak.

A case is told by a seed and a number alone, so whatever fails can be looked at again: `case(seed, number)`.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipec import api
from pipec.diagnostics import Source
from pipec.schema import tree
from pipec.values import Json

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples" / "pipelines"
SEED_BYTES = 64 << 10  # what is larger (the fixture of PIPE003) tells nothing new and takes long

# What the examples do not say: every other key and form of the language that is read today.
RICH = """apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: rich, labels: {a: b}}
parameters:
  rate: {type: number, default: 1e-3, exclusiveMinimum: 0}
  mode: {type: string, default: fast, enum: [fast, slow], pattern: "^[a-z]+$"}
  names: {type: list, default: [a, "b"], items: {type: string}, minItems: 1}
  table: {type: object, default: {k: 1}, properties: {k: {type: integer}}, required: [k]}
  flag: {type: boolean, default: false}
  n: {type: integer, default: 3, const: true}
triggers: [{schedule: {cron: "*/5 1-3,7 * * 1-5", timezone: Europe/Berlin, catchup: true}}]
concurrency: {max: 2, on_conflict: queue}
environments:
  prod:
    parameters: {rate: 0.5}
    steps: {b: {with: {epochs: 4, seed: null}, resources: {cpu: 8}, retry: {attempts: 2}, timeout: 2h, env: {A: b}}}
image: registry.example/steps@sha256:0000000000000000000000000000000000000000000000000000000000000000
steps:
  a: {uses: ingest, with: {source: "s3://b/${{ run.date }}/${{ parameters.mode }}.parquet"}, cache: false}
  v: {uses: validate-data, with: {data: "${{ steps.a.data }}", expectations: expectations/wine.yaml}}
  s: {uses: split@1, with: {data: "${{ steps.v.data }}", test_size: 0.2, stratify: cultivar, seed: 7}}
  b:
    uses: train
    with: {data: "${{ steps.s.train }}", target: "$${{ y", features: "${{ parameters.names }}", hidden: [1, 2],
           hyperparameters: {C: 1.5, deep: [null, true, {x: "${{ parameters.rate }}"}], t: "${{ parameters.table }}"}}
    needs: [v]
    when: parameters.flag == true and not (steps.a.n_rows < 10 or 'x' in parameters.names) or succeeded(s)
    resources: {cpu: 0.5, memory: 512Mi, accelerator: {kind: gpu, vendor: nvidia, model: a100, memory: 40Gi, count: 2}}
    retry: {attempts: 3, backoff: 10s}
    timeout: 90m
    env: {DAY: "${{ run.scheduled_at }}"}
    continue_on_error: true
    description: "A *step* with [text] and \\u00e9"
  e:
    uses: evaluate
    with: {model: "${{ steps.b.model }}", data: "${{ steps.s.test }}", gates: [{metric: f1, minimum: 0.5}]}
  p: {uses: approve, with: {model: "${{ steps.e.model }}", mode: automatic, approvers: [ana@example.org, ml-leads]}}
  d:
    uses: deploy
    with: {model: "${{ steps.p.model }}", approval: "${{ steps.p.approval }}", name: "m-${{ parameters.n }}"}
  m:
    uses: monitor
    with: {endpoint: "${{ steps.d.endpoint }}", reference: "${{ steps.s.train }}", batch: data/wine-new.csv}
  r: {uses: deploy, with: {name: back, model: "${{ steps.p.model }}"}, needs: [e, p], when: "failed(d) or skipped(d)"}
outputs: {model: "${{ steps.e.model }}", score: "${{ steps.e.score }}"}
"""
# Steps that become several tasks, other files, events and ends. Stands apart: a target refuses most of it.
MANY = """apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: many}
inputs: {rows: {type: Dataset, default: data/wine.csv}, old: {type: Model, optional: true}}
parameters:
  seeds: {type: list, const: true, default: [1, 2, 3]}
  cores: {type: integer, const: true, default: 2}
  names: {type: list, default: [a, b], items: {type: string}}
triggers:
  - after: {pipeline: other, step: a, outcome: any, when: steps.a.n_rows > 3, parameters: {names: ["${{ run.id }}"]}, cooldown: 1h}
environments: {prod: {parameters: {seeds: [4]}, steps: {t: {with: {epochs: "${{ parameters.cores }}"}}}}}
steps:
  s: {uses: split, with: {data: "${{ inputs.rows }}"}}
  t:
    uses: train
    matrix: {axes: {seed: "${{ parameters.seeds }}", kind: [ridge, mlp]}, exclude: [{seed: 1, kind: mlp}], include: [{seed: 9, kind: mlp}], fail_fast: false}
    with: {data: "${{ steps.s.train }}", target: y, seed: "${{ matrix.seed }}", estimator: "${{ matrix.kind }}"}
    resources: {cpu: "${{ parameters.cores }}"}
    when: matrix.seed != 3
  best: {uses: select, with: {models: "${{ steps.t[*].model }}", data: "${{ steps.s.test }}"}}
  l: {uses: ingest, for_each: {items: "${{ parameters.names }}", max_parallel: 2}, with: {source: "x/${{ item }}.csv"}, when: item != 'b'}
  f: {uses: ./inner.yaml, for_each: "${{ steps.l[*].n_rows }}", needs: [l], with: {rows: "${{ inputs.rows }}", k: "${{ item }}"}}
  g: {uses: ./inner.yaml, with: {rows: "${{ steps.s.train }}", kept: [7], k: 3}, when: succeeded(l), continue_on_error: true}
  r: {uses: ingest, with: {source: a.csv}, when: "steps.g.n > 1 and 2 in steps.f[*].n or failed(t)", env: {N: "${{ environment.name }}"}}
finally:
  tell: {uses: notify, with: {channel: c, message: "$${{ ${{ run.outcome }}"}, when: failed(best)}
outputs: {ns: "${{ steps.f[*].n }}", model: "${{ steps.best.model }}", rows: "${{ steps.g.rows }}"}
---
apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: other}
steps: {a: {uses: ingest, with: {source: a.csv}}}
"""  # noqa: E501
INNER = """apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: inner}
inputs: {rows: {type: Dataset}, more: {type: Dataset, optional: true}}
parameters: {k: {type: integer, default: 1}, kept: {type: list, const: true, default: [1, 2]}}
environments: {prod: {parameters: {k: 2}}}
steps:
  m: {uses: split, matrix: {axes: {seed: "${{ parameters.kept }}"}}, with: {data: "${{ inputs.rows }}", seed: "${{ matrix.seed }}"}}
  a: {uses: ingest, with: {source: "b-${{ parameters.k }}.csv"}, needs: [m], when: parameters.k > 0}
outputs: {n: "${{ steps.a.n_rows }}", rows: "${{ inputs.rows }}", more: "${{ inputs.more }}"}
"""  # noqa: E501
# Tokens that have broken readers, planners or printers somewhere.
NASTY = (
    "", " ", "\t", "\n", "\r", "\r\n", "\0", "\x1b[31m", "\x85", "\u2028", "\u202e", "\ufeff", "\ud7ff",
    "\U0001f9ea", "e\u0301", "{", "}", "[", "]", ":", ": ", "- ", "? ", ",", "#", " #", "&a ", "*a", "<<: ",
    "!!python/object:os.system ", "!<x> ", "%YAML 1.1\n", "---\n", "...\n", "|\n", ">-\n", "|9",
    "'", '"', "\\", '"\\x00"', '"\\ud800"', '"\\U0010ffff"', "'\'\'", '"""', "{0}", "%s", "$(id)", "`id`",
    "~", "null", "true", "no", "0", "-0", "-1", "1e-3", "1e999", "-1e999", ".inf", ".nan", "0o17", "0x1F", "1_000",
    "1:30", "9" * 30, "9" * 5000, "0.1", "5m", "0s", "99999999999999d", "16Gi", "1Ki", "0Mi", "2026-01-01",
    "${{", "}}", "$${{", "${{ }}", "${{ steps }}", "${{ steps.a }}", "${{ steps.a.data.x }}", "${{ parameters.n }}",
    "${{ secrets.x }}", "${{ item }}", "${{ run.outcome }}", "${{ 1 }}", "{{ x }}", "{% raw %}", "${{ run.id }}" * 200,
    "not ", "and", "or", "in", "==", "<=", "(", ")", "(" * 100, "not " * 2000, "succeeded(a)", "failed(", "a.b.c",
    "'x' in 'y'", "1 < 'x'", "..", "../../etc/passwd", "/dev/zero", "/proc/self/environ", "a/b", "file:///etc/passwd",
    "s3://", "http://[", "\\\\host", "a" * 300, "\u00e9" * 70, "-", "_", "A", "a--b", "-a", "a-", "class", "None",
    "lambda", "__import__", "name: ", "steps: ", "uses: ", "with: ", "needs: ", "when: ", "default: ", "enum: ",
    "pattern: ", "production: ", "matrix: ", "finally: ",
)  # fmt: skip
PATTERNS = ("(", "^(a+)+$", "[a-", "(?P<x>a)(?P=x)", "\\p{L}", "(?i)x", "a{1,99999}", "*")
TOKEN = re.compile(r"\$\{\{|\}\}|[A-Za-z0-9_.-]+|[ ]+|.|\n", re.DOTALL)


@dataclass(frozen=True)
class Case:
    """What is asked: the text of a pipeline, that of its project, and how.

    twin: a pipeline that differs in texts alone, so that what is made of both has the same form. inner: the text of
    `inner.yaml`, beside the pipeline.
    """

    content: bytes
    project: bytes
    environment: str
    target: str
    options: Mapping[str, str]
    sets: Mapping[str, str]
    twin: bytes = b""
    inner: bytes = INNER.encode()


def _emitted() -> str:
    """Return `RICH` without what a target refuses, so that what is made of it reaches the printers."""
    kept = [
        line for line in RICH.splitlines(keepends=True) if not re.match(" *(when|continue_on_error|env|r|flag):", line)
    ]
    text = "".join(kept).replace("Europe/Berlin", "UTC").replace("data/wine-new.csv", "s3://rows/new.parquet")
    return text.replace(" vendor: nvidia, model: a100, memory: 40Gi,", "")


def seeds() -> list[str]:
    """Return the texts that cases are made from: the examples, every rule's fixtures, and `RICH`."""
    paths = [*EXAMPLES.glob("*.yaml"), *(ROOT / "tests" / "rules").glob("*/[bg]*d.yaml")]
    texts = [path.read_text(encoding="utf-8") for path in sorted(paths) if path.stat().st_size < SEED_BYTES]
    return [RICH, _emitted(), MANY, *(text.replace("../expectations.yaml", "expectations/wine.yaml") for text in texts)]


SEEDS = seeds()
PROJECT = (EXAMPLES / "pipec.yaml").read_text(encoding="utf-8")
FORMS = ("bytes", "tokens", "trees", "texts")
FREE = ("description", "target", "source", "message", "C", "batch", "A")


def case(seed: int, number: int) -> Case:
    """Return case `number` of `seed`; equal arguments give equal cases."""
    return made(random.Random(f"{seed}:{number}"), FORMS[number % len(FORMS)])


def made(rng: random.Random, form: str) -> Case:
    """Return a case of a form, as the draws of `rng` want it."""
    target = rng.choice(sorted(api.TARGETS))
    options = {
        rng.choice(["nope", *api.TARGETS[target].options]): rng.choice(("2.17", "docker", "kubernetes", "", "3"))
    }
    if form == "texts":
        text = _texts(rng, SEEDS[1])
        return Case(text.encode("utf-8", "replace"), PROJECT.encode(), "prod", target, {}, {}, SEEDS[1].encode())
    sets = {
        rng.choice(("rate", "n", "names", "table", "flag", "source", "epochs", "seeds", "rows")): rng.choice(
            (*NASTY, '{"k": 1}')
        )
    }
    return Case(
        content=_changed(rng, form, rng.choice(SEEDS if rng.random() < 0.5 else SEEDS[:3])),
        project=_changed(rng, form, PROJECT) if rng.random() < 0.2 else PROJECT.encode(),
        environment=rng.choice(("", "", "dev", "prod", "prod", "prod", "prod", "nope")),
        target=target,
        options=options if rng.random() < 0.2 else {},
        sets=sets if rng.random() < 0.2 else {},
        inner=_changed(rng, form, INNER) if rng.random() < 0.2 else INNER.encode(),
    )


def _changed(rng: random.Random, form: str, text: str) -> bytes:
    match form:
        case "bytes":
            return _bytes(rng, text.encode())
        case "tokens":
            return _tokens(rng, text).encode("utf-8", "replace")
        case _:
            return _trees(rng, text).encode("utf-8", "replace")


def _bytes(rng: random.Random, data: bytes) -> bytes:
    """Random bytes, or a text in which a few were changed."""
    if rng.random() < 0.1:
        return rng.randbytes(rng.choice((0, 1, 3, 100, 3000)))
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 6))):
        place = rng.randrange(len(changed) + 1)
        width = rng.choice((0, 0, 1, 1, 2, 40))
        changed[place : place + width] = rng.choice(
            (
                rng.randbytes(rng.randrange(2)),
                bytes([rng.randrange(32, 127)]),
                rng.choice(NASTY).encode("utf-8", "replace"),
                b"",
            )
        )
    return bytes(changed)


def _tokens(rng: random.Random, text: str) -> str:
    """A text in which a few tokens were removed, doubled, moved or replaced."""
    tokens = TOKEN.findall(text) or [""]
    others = [token for token in TOKEN.findall(rng.choice(SEEDS)) if token[0].isalnum()] or [""]
    words = [place for place, token in enumerate(tokens) if token[:1].isalnum()] or [0]
    for _ in range(rng.choice((1, 1, 2, 5))):
        here, there = rng.choice(words), rng.choice(words)
        if rng.random() < 0.3:  # anything, punctuation too: mostly this is no YAML any more
            here = rng.randrange(len(tokens))
        match rng.randrange(6):
            case 0:
                tokens[here] = ""
            case 1:
                tokens[here] *= rng.choice((2, 2, 50))
            case 2:
                tokens[here], tokens[there] = tokens[there], tokens[here]
            case 3:
                tokens[here] = rng.choice(tokens)
            case 4:
                tokens[here] = rng.choice(others)
            case _:
                tokens[here] = rng.choice(NASTY)
    return "".join(tokens)


def _trees(rng: random.Random, text: str) -> str:
    """A text whose document was changed as a document: well-formed, and wrong in what it says."""
    documents, found = tree.read(Source("seed", text))
    if found:
        return _tokens(rng, text)
    body = tree.as_json(rng.choice(documents))
    for _ in range(rng.choice((1, 1, 2, 4))):
        _change(rng, body)
    if rng.random() < 0.5:
        return json.dumps(body, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, 1)))
    return tree.dump(body)


def _texts(rng: random.Random, text: str) -> str:
    """A pipeline in which a few free texts say what no printer expects."""
    body = tree.as_json(tree.read(Source("seed", text))[0][0])
    free = [(holder, key) for holder, key in _places(body) if key in FREE and "$" not in str(holder[key])]
    for holder, key in rng.sample(free, k=rng.randint(1, 3)):
        parts = [part for part in rng.choices(NASTY, k=rng.randint(1, 4)) if "${{" not in part]
        holder[key] = "".join(part for part in parts if part.isprintable() or part in "\n\t")
    return json.dumps(body, ensure_ascii=rng.random() < 0.5)


def _change(rng: random.Random, body: Json) -> None:
    """Change one place of a document: another value, no value, another name, or what stands elsewhere."""
    places = [place for place in _places(body) if place[0]]
    if not places:
        return
    holder, key = rng.choice(places)
    donor, other = rng.choice(places)
    match rng.randrange(5):
        case 0:
            holder[key] = _value(rng)
        case 1:
            del holder[key]
        case 2 if isinstance(holder, dict):
            holder[rng.choice((*NASTY, str(key), str(other)))] = holder[key]
        case 3:
            holder[key] = json.loads(json.dumps(donor[other]))
        case _:
            holder[key] = [holder[key]] if rng.random() < 0.5 else {"pattern": rng.choice(PATTERNS), "k": holder[key]}


def _places(body: Json) -> Iterator[tuple[Json, Json]]:
    if isinstance(body, dict | list):
        for key, value in list(body.items() if isinstance(body, dict) else enumerate(body)):
            yield body, key
            yield from _places(value)


def _value(rng: random.Random, depth: int = 0) -> Json:
    match rng.randrange(8 if depth < 3 else 6):
        case 0:
            return rng.choice((None, True, False, 0, -1, 1, 2**53 - 1, 0.5, 1e300, -0.0))
        case 6:
            return [_value(rng, depth + 1) for _ in range(rng.randrange(3))]
        case 7:
            return {rng.choice(NASTY): _value(rng, depth + 1) for _ in range(rng.randrange(3))}
        case 1:
            return rng.choice(PATTERNS)
        case _:
            return rng.choice(NASTY)
