"""What an environment may say to Kubeflow, under `kubeflow:`; and what of it stands in a run's own file."""

from __future__ import annotations

from collections.abc import Mapping

from pipec.targets.base import Options
from pipec.targets.cluster import KUBERNETES_NAME, POD_SETTINGS
from pipec.values import Json

SETTINGS: Mapping[str, Json] = {
    "type": "object",
    "description": "How runs of this environment are placed on Kubeflow.",
    "additionalProperties": False,
    "properties": {
        "namespace": {**KUBERNETES_NAME, "description": "The namespace of the user's profile, where runs go."},
        "service_account": {**KUBERNETES_NAME, "description": "The service account that steps run as."},
        "experiment": {"type": "string", "description": "The experiment that runs belong to."},
        **POD_SETTINGS,
    },
}
_OF_RUNS = ("experiment", "namespace", "service_account")  # as kfp.Client calls them


def of_runs(options: Options) -> dict[str, Json]:
    """Return the settings that are arguments of whoever starts a run."""
    return {key: options.settings[key] for key in _OF_RUNS if options.settings.get(key)}
