"""Whether a value is of a parameter's type, as the driver will judge it when the task is about to start."""

from __future__ import annotations

from pipec.targets.kubeflow.verify.fault import shown

_WORDS = {
    "NUMBER_INTEGER": "a whole number", "NUMBER_DOUBLE": "a number", "BOOLEAN": "true or false", "LIST": "a list",
    "STRUCT": "a mapping", "TASK_FINAL_STATUS": "a final status", "TASK_CONFIG": "a task's configuration",
}  # fmt: skip


def misfit(value: object, type_: str) -> str:
    """Return what is wrong with a value of this type, to follow its name; empty if nothing is.

    Anything passes for STRING: the driver writes it as text.
    """
    if type_ not in _WORDS or _is_of(value, type_):
        return ""
    return f"needs {_WORDS[type_]}, not `{shown(value)}`"


def _is_of(value: object, type_: str) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match type_:
        case "NUMBER_INTEGER":
            return is_number and (isinstance(value, int) or float(value).is_integer())  # type: ignore[arg-type]
        case "NUMBER_DOUBLE":
            return is_number
        case "BOOLEAN":
            return isinstance(value, bool)
        case "LIST":
            return isinstance(value, list)
        case "STRUCT":
            return isinstance(value, dict)
        case _:
            return False
