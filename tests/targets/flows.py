"""A plan in which everything that decides who runs when occurs once, from the text that a user would write."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pipec import api
from pipec.compiler.plan import Plan

PROJECT = """
apiVersion: pipec/v1alpha1
kind: Project
metadata: {name: flow}
image: registry.example/steps:1
environments: {e: {artifacts: "s3://ml/pipec"}}
"""
FIT = """
apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: fit}
inputs: {rows: {type: Dataset}}
steps:
  split: {uses: split, with: {data: "${{ inputs.rows }}"}}
  train: {uses: train, with: {data: "${{ steps.split.train }}", target: y}}
outputs: {model: "${{ steps.train.model }}", test: "${{ steps.split.test }}"}
"""
FLOW = """
apiVersion: pipec/v1alpha1
kind: Pipeline
metadata: {name: flow}
parameters: {seeds: {type: list, default: [1, 2]}, limit: {type: number, default: 0.5}}
steps:
  ingest: {uses: ingest, with: {source: "s3://b/rows.csv"}}
  fit: {uses: ./fit.yaml, with: {rows: "${{ steps.ingest.data }}"}}
  judge: {uses: evaluate, with: {model: "${{ steps.fit.model }}", data: "${{ steps.fit.test }}"}}
  again:
    uses: train
    for_each: {items: "${{ parameters.seeds }}", max_parallel: 2}
    when: steps.judge.score < parameters.limit
    with: {data: "${{ steps.ingest.data }}", target: y, seed: "${{ item }}"}
  best: {uses: select, with: {models: "${{ steps.again[*].model }}", data: "${{ steps.ingest.data }}"}}
  ask: {uses: trigger, for_each: [{who: a}, {who: b}], with: {pipeline: other, reason: "${{ item.who }}"}}
  watch: {uses: monitor, with: {batch: "s3://b/new.csv", reference: "${{ steps.ingest.data }}"}}
  warn: {uses: notify, when: failed(watch), with: {channel: ops, message: it drifts}}
finally:
  tell: {uses: notify, with: {channel: ops, message: "it ${{ run.outcome }}", report: "${{ steps.judge.report }}"}}
  note: {uses: notify, when: succeeded(judge), with: {channel: ops, message: good}}
outputs: {model: "${{ steps.fit.model }}", models: "${{ steps.again[*].model }}"}
"""


def flow() -> Plan:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("pipec", PROJECT), ("fit", FIT), ("flow", FLOW)):
            Path(folder, f"{name}.yaml").write_text(text, encoding="utf-8")
        checked = api.check(api.Request(path=Path(folder, "flow.yaml"), environment="e"))
    plan = checked.units[0].plan
    assert plan is not None, checked.report.findings
    return plan
