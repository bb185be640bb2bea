"""The data converter: everything between Python values and the wire.

Outward a value goes through the payload converter, then the codec, then external storage; inward the other way round.
The methods whose names end in ``_dict`` or ``_dicts`` are the package's own path. Without a codec and without external
storage they do not touch protobuf.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from temporalio._lazy import instance
from temporalio.converter._failure_converter import DefaultFailureConverter, FailureConverter
from temporalio.converter._messages import (
    FailureDict,
    PayloadDict,
    failure_chain,
    failure_payload_lists,
    message_from_dict,
    message_to_dict,
    payloads_from_protos,
    payloads_to_protos,
)
from temporalio.converter._payload_converter import (
    DefaultPayloadConverter,
    PayloadConverter,
    _TemporalTransferTypePayloadConverter,
)
from temporalio.converter._serialization_context import SerializationContext, WithSerializationContext

if TYPE_CHECKING:
    import dataclasses
    from dataclasses import dataclass

    from typing_extensions import Self

    import temporalio.api.common.v1
    import temporalio.api.failure.v1
    from temporalio.converter._extstore import ExternalStorage, StorageDriverStoreContext
    from temporalio.converter._payload_codec import PayloadCodec
else:
    import dataclasses

    from temporalio._lazy import dataclass


@dataclass(frozen=True)
class DataConverter(WithSerializationContext):
    """How a client or worker converts values, failures and payloads."""

    payload_converter_class: type[PayloadConverter] = DefaultPayloadConverter
    """Makes the payload converter; a class, since the workflow sandbox makes its own instance."""

    payload_codec: PayloadCodec | None = None
    """Applied to payloads outside of workflows."""

    failure_converter_class: type[FailureConverter] = DefaultFailureConverter
    """Makes the failure converter; a class for the same reason."""

    payload_converter: PayloadConverter = dataclasses.field(init=False)
    """The payload converter."""

    failure_converter: FailureConverter = dataclasses.field(init=False)
    """The failure converter."""

    external_storage: ExternalStorage | None = None
    """Where large payloads are kept; they stay in the history if None."""

    default: ClassVar[DataConverter]
    """The converter of a client that names none."""

    def __post_init__(self) -> None:
        """Makes the converters."""
        object.__setattr__(self, "payload_converter", self._new_payload_converter())
        object.__setattr__(self, "failure_converter", self.failure_converter_class())

    def _new_payload_converter(self) -> PayloadConverter:
        return _TemporalTransferTypePayloadConverter(self.payload_converter_class())

    async def encode(self, values: Sequence[Any]) -> list[temporalio.api.common.v1.Payload]:
        """Turns values into payloads ready for the wire.

        Args:
            values: The values.

        Returns:
            The payloads; not necessarily as many, but one for a lone value.
        """
        return await self._transform_outbound_payloads(self.payload_converter.to_payloads(values))

    async def decode(
        self,
        payloads: Sequence[temporalio.api.common.v1.Payload],
        type_hints: list[type] | None = None,
    ) -> list[Any]:
        """Turns payloads from the wire into values.

        Args:
            payloads: The payloads.
            type_hints: The types wanted, in order.

        Returns:
            The values.
        """
        return self.payload_converter.from_payloads(await self._transform_inbound_payloads(payloads), type_hints)

    async def encode_wrapper(self, values: Sequence[Any]) -> temporalio.api.common.v1.Payloads:
        """As :py:meth:`encode`, in one message."""
        import temporalio.api.common.v1

        return temporalio.api.common.v1.Payloads(payloads=await self.encode(values))

    async def decode_wrapper(
        self,
        payloads: temporalio.api.common.v1.Payloads | None,
        type_hints: list[type] | None = None,
    ) -> list[Any]:
        """As :py:meth:`decode`, of one message; none for None."""
        if not payloads or not payloads.payloads:
            return []
        return await self.decode(payloads.payloads, type_hints)

    async def encode_failure(self, exception: BaseException, failure: temporalio.api.failure.v1.Failure) -> None:
        """Writes an exception into a failure ready for the wire."""
        self.failure_converter.to_failure(exception, self.payload_converter, failure)
        if self._has_transform:
            encoded = message_from_dict(
                "temporal.api.failure.v1.Failure", await self._outbound_failure_dict(message_to_dict(failure))
            )
            failure.CopyFrom(encoded)

    async def decode_failure(self, failure: temporalio.api.failure.v1.Failure) -> BaseException:
        """Makes an exception of a failure from the wire."""
        if self._has_transform:
            failure = message_from_dict(
                "temporal.api.failure.v1.Failure", await self._inbound_failure_dict(message_to_dict(failure))
            )
        return self.failure_converter.from_failure(failure, self.payload_converter)

    def with_context(self, context: SerializationContext) -> Self:
        """This converter for values of this context; itself if none of its parts cares."""
        changes: dict[str, Any] = {}
        for name in ("payload_converter", "payload_codec", "failure_converter"):
            part = getattr(self, name)
            if isinstance(part, WithSerializationContext):
                replacement = part.with_context(context)
                if replacement is not part:
                    changes[name] = replacement
        return self._copy(changes)

    def _copy(self, changes: Mapping[str, Any]) -> Self:
        """A copy with these attributes; not through the constructor, which would make converters anew."""
        if not changes:
            return self
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy.__dict__.update(changes)
        return copy

    def _with_store_context(self, store_ctx: StorageDriverStoreContext) -> Self:
        if self.external_storage is None:
            return self
        return self._copy({"external_storage": self.external_storage._with_store_context(store_ctx)})

    def _with_contexts(self, serialization_ctx: SerializationContext, store_ctx: StorageDriverStoreContext) -> Self:
        return self.with_context(serialization_ctx)._with_store_context(store_ctx)

    # --- the package's own path ---------------------------------------------------------------------------------------

    @property
    def _has_transform(self) -> bool:
        """Whether payloads are changed between the payload converter and the wire."""
        return self.payload_codec is not None or self.external_storage is not None

    async def _encode_dicts(self, values: Sequence[Any]) -> list[PayloadDict]:
        payloads = self.payload_converter._to_dicts(values)
        return await self._outbound_dicts(payloads) if self._has_transform else payloads

    async def _decode_dicts(
        self, payloads: Sequence[PayloadDict], type_hints: Sequence[Any] | None = None
    ) -> list[Any]:
        if self._has_transform:
            payloads = await self._inbound_dicts(payloads)
        return self.payload_converter._from_dicts(payloads, type_hints)

    async def _encode_value_dict(self, value: Any) -> PayloadDict:
        return (await self._encode_dicts((value,)))[0]

    async def _encode_memo_dict(self, memo: Mapping[str, Any]) -> dict[str, PayloadDict]:
        """Memo values as payloads by name, the ``fields`` of their message; each is converted alone."""
        return {name: await self._encode_value_dict(value) for name, value in memo.items()}

    async def _decode_memo_dict(self, fields: Mapping[str, PayloadDict] | None) -> dict[str, Any]:
        return {name: (await self._decode_dicts((payload,)))[0] for name, payload in (fields or {}).items()}

    async def _encode_failure_dict(self, exception: BaseException) -> FailureDict:
        failure = self.failure_converter._to_dict(exception, self.payload_converter)
        return await self._outbound_failure_dict(failure) if self._has_transform else failure

    async def _decode_failure_dict(self, failure: FailureDict) -> BaseException:
        if self._has_transform:
            failure = await self._inbound_failure_dict(failure)
        return self.failure_converter._from_dict(failure, self.payload_converter)

    async def _outbound_dicts(self, payloads: Sequence[PayloadDict]) -> list[PayloadDict]:
        """From what the payload converter made to what goes on the wire."""
        if not self._has_transform or not payloads:
            return list(payloads)
        return payloads_from_protos(await self._transform_outbound_payloads(payloads_to_protos(payloads)))

    async def _inbound_dicts(self, payloads: Sequence[PayloadDict]) -> list[PayloadDict]:
        """From what came over the wire to what the payload converter reads."""
        if not self._has_transform or not payloads:
            return list(payloads)
        return payloads_from_protos(await self._transform_inbound_payloads(payloads_to_protos(payloads)))

    async def _outbound_failure_dict(self, failure: FailureDict) -> FailureDict:
        return await self._transform_failure(failure, outbound=True)

    async def _inbound_failure_dict(self, failure: FailureDict) -> FailureDict:
        return await self._transform_failure(failure, outbound=False)

    async def _transform_failure(self, failure: FailureDict, *, outbound: bool) -> FailureDict:
        import copy

        failure = copy.deepcopy(failure)
        apply = self._outbound_dicts if outbound else self._inbound_dicts
        for parent, key in list(failure_payload_lists(failure)):
            parent[key] = await apply(parent[key])
        for link in list(failure_chain(failure)):
            attributes = link.get("encoded_attributes")
            if attributes is not None:
                replacement = await apply([attributes])
                if len(replacement) != 1:
                    raise RuntimeError(f"A codec must keep a lone payload one, it returned {len(replacement)}")
                link["encoded_attributes"] = replacement[0]
        return failure

    async def _transform_outbound_payloads(
        self, payloads: Sequence[temporalio.api.common.v1.Payload]
    ) -> list[temporalio.api.common.v1.Payload]:
        result = list(payloads)
        if self.payload_codec is not None:
            result = await self.payload_codec.encode(result)
        if self.external_storage is not None:
            result = await self.external_storage._store(result)
        return result

    async def _transform_inbound_payloads(
        self, payloads: Sequence[temporalio.api.common.v1.Payload]
    ) -> list[temporalio.api.common.v1.Payload]:
        result = list(payloads)
        if self.external_storage is not None:
            result = await self.external_storage._retrieve(result)
        elif any(p.external_payloads for p in result):
            raise _no_storage()
        if self.payload_codec is not None:
            result = await self.payload_codec.decode(result)
        return result


def _no_storage() -> RuntimeError:
    return RuntimeError("[TMPRL1105] Detected externally stored payload(s) but external storage is not configured.")


DataConverter.default = instance(
    DataConverter,
    payload_converter_class=DefaultPayloadConverter,
    payload_codec=None,
    failure_converter_class=DefaultFailureConverter,
    payload_converter=PayloadConverter.default,
    failure_converter=FailureConverter.default,
    external_storage=None,
)


def default() -> DataConverter:
    """The converter of a client that names none."""
    return DataConverter.default
