"""The types of the dictionaries that hold a client's options.

Apart from the rest because making such a type costs what importing a module of code does, and few programs look at one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, TypedDict

import temporalio.common
import temporalio.converter
from temporalio.service import (
    DnsLoadBalancingConfig,
    GrpcCompression,
    HttpConnectProxyConfig,
    KeepAliveConfig,
    PayloadLimitsConfig,
    RetryConfig,
    ServiceClient,
    TLSConfig,
)

if TYPE_CHECKING:
    from typing_extensions import Required

    import temporalio.runtime
    from temporalio.client._interceptor import Interceptor
    from temporalio.client._plugin import Plugin


class ClientConfig(TypedDict, total=False):
    """What a client is made with, as :py:meth:`Client.config` gives it."""

    service_client: Required[ServiceClient]
    namespace: Required[str]
    data_converter: Required[temporalio.converter.DataConverter]
    plugins: Required[Sequence[Plugin]]
    interceptors: Required[Sequence[Interceptor]]
    default_workflow_query_reject_condition: Required[temporalio.common.QueryRejectCondition | None]
    header_codec_behavior: Required[temporalio.common.HeaderCodecBehavior]


class ClientConnectConfig(TypedDict, total=False):
    """What :py:meth:`Client.connect` takes."""

    target_host: str
    namespace: str
    api_key: str | None
    data_converter: temporalio.converter.DataConverter
    plugins: Sequence[Plugin]
    interceptors: Sequence[Interceptor]
    default_workflow_query_reject_condition: temporalio.common.QueryRejectCondition | None
    tls: bool | TLSConfig | None
    retry_config: RetryConfig | None
    keep_alive_config: KeepAliveConfig | None
    connect_timeout: timedelta | None
    rpc_metadata: Mapping[str, str | bytes]
    identity: str | None
    lazy: bool
    runtime: temporalio.runtime.Runtime | None
    http_connect_proxy_config: HttpConnectProxyConfig | None
    dns_load_balancing_config: DnsLoadBalancingConfig | None
    grpc_compression: GrpcCompression
    payload_limits: PayloadLimitsConfig
    header_codec_behavior: temporalio.common.HeaderCodecBehavior
