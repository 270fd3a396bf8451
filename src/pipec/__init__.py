"""pipec: one YAML file for the life of a model, compiled to Kubeflow or Airflow, or run here."""

__version__ = "0.1.0"
