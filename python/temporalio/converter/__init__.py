"""Conversion of values and failures: converters, codecs, external storage.

See :py:class:`DataConverter` for how the parts work together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio._lazy import lazy_attributes
from temporalio.converter._data_converter import DataConverter, default
from temporalio.converter._failure_converter import (
    DefaultFailureConverter,
    DefaultFailureConverterWithEncodedAttributes,
    FailureConverter,
)
from temporalio.converter._payload_converter import (
    AdvancedJSONEncoder,
    BinaryNullPayloadConverter,
    BinaryPlainPayloadConverter,
    BinaryProtoPayloadConverter,
    CompositePayloadConverter,
    DefaultPayloadConverter,
    EncodingPayloadConverter,
    JSONPlainPayloadConverter,
    JSONProtoPayloadConverter,
    JSONTypeConverter,
    JSONTypeConverterUnhandled,
    PayloadConverter,
    TransferTypeConverter,
    transfer_type_convertible,
    value_to_type,
)
from temporalio.converter._serialization_context import (
    ActivitySerializationContext,
    NexusSerializationContext,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
)

if TYPE_CHECKING:
    from temporalio.converter._extstore import (
        ExternalStorage,
        StorageDriver,
        StorageDriverActivityInfo,
        StorageDriverClaim,
        StorageDriverRetrieveContext,
        StorageDriverSelectContext,
        StorageDriverStoreContext,
        StorageDriverWorkflowInfo,
        StorageWarning,
    )
    from temporalio.converter._payload_codec import PayloadCodec
    from temporalio.converter._payload_validation_error import create_payload_validation_error
    from temporalio.converter._search_attributes import (
        decode_search_attributes,
        decode_typed_search_attributes,
        encode_search_attribute_values,
        encode_search_attributes,
        encode_typed_search_attribute_value,
    )
else:
    __getattr__ = lazy_attributes(
        __name__,
        {
            **dict.fromkeys(
                (
                    "ExternalStorage",
                    "StorageDriver",
                    "StorageDriverActivityInfo",
                    "StorageDriverClaim",
                    "StorageDriverRetrieveContext",
                    "StorageDriverSelectContext",
                    "StorageDriverStoreContext",
                    "StorageDriverWorkflowInfo",
                    "StorageWarning",
                ),
                "._extstore",
            ),
            "PayloadCodec": "._payload_codec",
            "create_payload_validation_error": "._payload_validation_error",
            **dict.fromkeys(
                (
                    "decode_search_attributes",
                    "decode_typed_search_attributes",
                    "encode_search_attribute_values",
                    "encode_search_attributes",
                    "encode_typed_search_attribute_value",
                ),
                "._search_attributes",
            ),
        },
    )

__all__ = [
    "ActivitySerializationContext",
    "AdvancedJSONEncoder",
    "BinaryNullPayloadConverter",
    "BinaryPlainPayloadConverter",
    "BinaryProtoPayloadConverter",
    "CompositePayloadConverter",
    "DataConverter",
    "DefaultFailureConverter",
    "DefaultFailureConverterWithEncodedAttributes",
    "DefaultPayloadConverter",
    "EncodingPayloadConverter",
    "ExternalStorage",
    "FailureConverter",
    "JSONPlainPayloadConverter",
    "JSONProtoPayloadConverter",
    "JSONTypeConverter",
    "JSONTypeConverterUnhandled",
    "NexusSerializationContext",
    "PayloadCodec",
    "PayloadConverter",
    "SerializationContext",
    "StorageDriver",
    "StorageDriverActivityInfo",
    "StorageDriverClaim",
    "StorageDriverRetrieveContext",
    "StorageDriverSelectContext",
    "StorageDriverStoreContext",
    "StorageDriverWorkflowInfo",
    "StorageWarning",
    "TransferTypeConverter",
    "WithSerializationContext",
    "WorkflowSerializationContext",
    "create_payload_validation_error",
    "decode_search_attributes",
    "decode_typed_search_attributes",
    "default",
    "encode_search_attribute_values",
    "encode_search_attributes",
    "encode_typed_search_attribute_value",
    "transfer_type_convertible",
    "value_to_type",
]
