"""What a careless command line does: the control that no proof here is blind."""

from __future__ import annotations

import re
from typing import Any


def main(arguments: list[str]) -> int:
    """Work, remember or fail too much, or answer."""
    match arguments[0]:
        case "works":
            re.search("^(a+)+$", "a" * 40 + "!")
        case "remembers":
            return len([bytearray(1 << 20) for _ in range(400)]) - 399
        case "fails":
            raise ValueError("nobody caught this")
    return 1


def emitted(document: Any) -> str:
    """Return a DAG file with the texts of a document put between quotes."""
    lines = [f"# {document['metadata'].get('description', '')}", "from airflow.sdk import DAG", ""]
    for name, step in document["steps"].items():
        given = ", ".join(f"{key}='{value}'" for key, value in (step.get("with") or {}).items())
        lines.append(f"{name} = Operator(task_id='{name}', {given})")
    return "\n".join(lines) + "\n"
