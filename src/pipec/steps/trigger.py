"""The step that asks for a run of another pipeline."""

from __future__ import annotations

from typing import Any

from pipec.steps.declare import CallerError, Context, Refused, TryAgain, param, step, writes


@step("trigger", version="1", world=True, rooted=True)
class Trigger:
    """Ask for a run of another pipeline; whoever runs pipelines there answers."""

    requested: bool = writes(help="Whether the request stands; asked again by a retry, it is still one.")
    pipeline: str = param(pattern="^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$", help="The pipeline to run.")
    parameters: dict[str, Any] = param(default={}, help="Its parameters by name; others have their defaults.")
    reason: str = param(default="", help="Why, for people.")

    def run(self, context: Context) -> None:
        """Raises CallerError where there is no place for requests, TryAgain where it does not answer."""
        from pipec.steps.ml.fault import told_as
        from pipec.steps.release import place, request

        if context.triggers is None:
            raise CallerError(
                "this run has no place for requests to other pipelines: give the environment an `artifacts` root"
            )
        asked = request.Request(
            id=request.identity(context.pipeline, context.run_id, context.task), pipeline=self.pipeline,
            parameters=self.parameters, asker=context.pipeline, task=context.task, reason=self.reason,
        )  # fmt: skip
        try:
            with told_as(CallerError, Refused):
                is_new = request.write(place.at(context.triggers), asked)
        except place.Unreachable as fault:
            raise TryAgain(str(fault)) from fault
        self.requested = True
        context.log(f"a run of `{self.pipeline}` is asked for" if is_new else f"`{self.pipeline}` was asked already")
