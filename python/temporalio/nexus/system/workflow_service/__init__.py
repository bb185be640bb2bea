"""The server's own workflow service, as workflows call it."""

from temporalio.nexus.system.workflow_service.operations.signal_with_start_workflow import signal_with_start_workflow

__all__ = ["signal_with_start_workflow"]
