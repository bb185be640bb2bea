"""Perdure's Python package: the Temporal API over a core written in C.

A program imports the submodule it needs: :py:mod:`temporalio.client` to start and talk to workflows,
:py:mod:`temporalio.workflow` and :py:mod:`temporalio.activity` to write them, :py:mod:`temporalio.worker` to run them.
"""

__version__ = "1.35.0"
