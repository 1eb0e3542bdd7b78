"""Which model a command means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeflow.deploy.conversion import conversion_errors

if TYPE_CHECKING:
    from edgeflow.config.resolve import ResolvedModel
    from edgeflow.progress import Progress
    from edgeflow.workspace import Workspace


def resolve(spec: str | None, workspace: Workspace, progress: Progress) -> ResolvedModel:
    """The model that `spec` names, its origin told to the user. Raises UsageError, ConversionError."""
    from edgeflow.config.resolve import resolve_model
    from edgeflow_converters.inspect import inspect_model

    with conversion_errors():
        model = resolve_model(spec, workspace.cwd, workspace.home, inspect_model, progress.step)
    if spec is None:
        progress.note(f"using {model.origin}")
    return model
