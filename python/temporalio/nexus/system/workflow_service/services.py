"""The server's own workflow service."""

from __future__ import annotations

import nexusrpc

from temporalio.nexus.system.workflow_service.models import (
    SignalWithStartWorkflowRequest,
    SignalWithStartWorkflowResponse,
)


@nexusrpc.service(name="temporal.api.workflowservice.v1.WorkflowService")
class WorkflowService:
    """Calls about workflows."""

    signal_with_start_workflow: nexusrpc.Operation[SignalWithStartWorkflowRequest, SignalWithStartWorkflowResponse] = (
        nexusrpc.Operation(
            name="SignalWithStartWorkflowExecution",
            input_type=SignalWithStartWorkflowRequest,
            output_type=SignalWithStartWorkflowResponse,
        )
    )
    """Signals a workflow, starting it if it does not run."""
