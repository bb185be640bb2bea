"""Sets clients and workers up for tracing."""

from __future__ import annotations

import dataclasses

import temporalio.plugin
import temporalio.worker
from temporalio.contrib.opentelemetry._otel_interceptor import OpenTelemetryInterceptor


class OpenTelemetryPlugin(temporalio.plugin.SimplePlugin):
    """Traces a client and its workers; workflow code may open spans with any tracer of the global provider.

    The global tracer provider must come from :py:func:`create_tracer_provider` before a worker starts.
    """

    def __init__(self, *, add_temporal_spans: bool = False) -> None:
        """Makes a plugin.

        Args:
            add_temporal_spans: Adds a span for each call of a client and each thing a worker runs. Without, only spans
                of the application show.
        """
        super().__init__(
            "temporalio.OpenTelemetryPlugin",
            interceptors=[OpenTelemetryInterceptor(add_temporal_spans)],
            workflow_runner=_pass_through,
        )


def _pass_through(runner: temporalio.worker.WorkflowRunner | None) -> temporalio.worker.WorkflowRunner:
    """Lets workflow code in a sandbox use the same OpenTelemetry as everything else."""
    from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

    if runner is None:
        raise ValueError("The plugin needs a workflow runner")
    if isinstance(runner, SandboxedWorkflowRunner):
        return dataclasses.replace(runner, restrictions=runner.restrictions.with_passthrough_modules("opentelemetry"))
    return runner
