"""The step between payloads and the wire: encryption, compression and the like."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import temporalio.api.common.v1
    import temporalio.api.failure.v1


class PayloadCodec(ABC):
    """Turns payloads into payloads on their way out, and back on their way in."""

    @abstractmethod
    async def encode(
        self, payloads: Sequence[temporalio.api.common.v1.Payload]
    ) -> list[temporalio.api.common.v1.Payload]:
        """Encodes payloads about to leave.

        Args:
            payloads: What to encode; not to be changed in place.

        Returns:
            The encoded payloads. Where several are accepted their number may differ; a lone one must stay one.
        """
        ...

    @abstractmethod
    async def decode(
        self, payloads: Sequence[temporalio.api.common.v1.Payload]
    ) -> list[temporalio.api.common.v1.Payload]:
        """Decodes payloads that arrived.

        Args:
            payloads: What to decode; not to be changed in place.

        Returns:
            What :py:meth:`encode` was given.
        """
        ...

    async def encode_wrapper(self, payloads: temporalio.api.common.v1.Payloads) -> None:
        """Encodes a list of payloads in place."""
        replacement = await self.encode(payloads.payloads)
        del payloads.payloads[:]
        payloads.payloads.extend(replacement)

    async def decode_wrapper(self, payloads: temporalio.api.common.v1.Payloads) -> None:
        """Decodes a list of payloads in place."""
        replacement = await self.decode(payloads.payloads)
        del payloads.payloads[:]
        payloads.payloads.extend(replacement)

    async def encode_failure(self, failure: temporalio.api.failure.v1.Failure) -> None:
        """Encodes every payload of a failure and its causes in place."""
        await self._visit_failure(failure, encode=True)

    async def decode_failure(self, failure: temporalio.api.failure.v1.Failure) -> None:
        """Decodes every payload of a failure and its causes in place."""
        await self._visit_failure(failure, encode=False)

    async def _visit_failure(self, failure: temporalio.api.failure.v1.Failure, *, encode: bool) -> None:
        apply = self.encode if encode else self.decode
        apply_wrapper = self.encode_wrapper if encode else self.decode_wrapper
        while True:
            if failure.HasField("encoded_attributes"):
                # Attributes are one payload in the message, so they stay one whatever the codec returns.
                replacement = await apply([failure.encoded_attributes])
                if len(replacement) != 1:
                    raise RuntimeError(f"A codec must keep a lone payload one, it returned {len(replacement)}")
                failure.encoded_attributes.CopyFrom(replacement[0])
            for info, field in (
                ("application_failure_info", "details"),
                ("timeout_failure_info", "last_heartbeat_details"),
                ("canceled_failure_info", "details"),
                ("reset_workflow_failure_info", "last_heartbeat_details"),
            ):
                if failure.HasField(info) and getattr(failure, info).HasField(field):  # type: ignore[arg-type]
                    await apply_wrapper(getattr(getattr(failure, info), field))
            if not failure.HasField("cause"):
                return
            failure = failure.cause
