"""The client of Temporal Cloud's operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from temporalio.service import (
    CloudService,
    ConnectConfig,
    DnsLoadBalancingConfig,
    GrpcCompression,
    HttpConnectProxyConfig,
    KeepAliveConfig,
    RetryConfig,
    ServiceClient,
    TLSConfig,
)

if TYPE_CHECKING:
    import temporalio.runtime


class CloudOperationsClient:
    """A client of the API by which Temporal Cloud is managed. Not for use by several threads or event loops."""

    @staticmethod
    async def connect(
        *,
        api_key: str | None = None,
        version: str | None = None,
        target_host: str = "saas-api.tmprl.cloud:443",
        tls: bool | TLSConfig = True,
        retry_config: RetryConfig | None = None,
        keep_alive_config: KeepAliveConfig | None = KeepAliveConfig.default,
        rpc_metadata: Mapping[str, str | bytes] = {},
        identity: str | None = None,
        lazy: bool = False,
        runtime: temporalio.runtime.Runtime | None = None,
        http_connect_proxy_config: HttpConnectProxyConfig | None = None,
        dns_load_balancing_config: DnsLoadBalancingConfig | None = None,
        grpc_compression: GrpcCompression = GrpcCompression.GZIP,
    ) -> CloudOperationsClient:
        """Connects.

        Args:
            api_key: Sent with each call as authorization.
            version: The API version to ask for, as a header.
            target_host: The server, as host and port.
            tls: Whether and how to secure the connection.
            retry_config: How calls are repeated.
            keep_alive_config: How a silent connection is checked; None for not at all.
            rpc_metadata: Headers of each call.
            identity: Who this is; process id and host if None.
            lazy: Whether to connect with the first call only.
            runtime: The runtime to use; the process's default if None.
            http_connect_proxy_config: A proxy on the way to the server.
            dns_load_balancing_config: Spreads calls over the addresses of the server's name.
            grpc_compression: Whether requests are compressed.

        Returns:
            The client.
        """
        if version:
            rpc_metadata = {**rpc_metadata, "temporal-cloud-api-version": version}
        config = ConnectConfig(
            target_host=target_host,
            api_key=api_key,
            tls=tls,
            retry_config=retry_config,
            keep_alive_config=keep_alive_config,
            rpc_metadata=rpc_metadata,
            identity=identity or "",
            lazy=lazy,
            runtime=runtime,
            http_connect_proxy_config=http_connect_proxy_config,
            dns_load_balancing_config=dns_load_balancing_config,
            grpc_compression=grpc_compression,
        )
        return CloudOperationsClient(await ServiceClient.connect(config))

    def __init__(self, service_client: ServiceClient):
        """Makes a client of a connection there is."""
        self._service_client = service_client

    @property
    def service_client(self) -> ServiceClient:
        """The connection."""
        return self._service_client

    @property
    def cloud_service(self) -> CloudService:
        """The raw service."""
        return self._service_client.cloud_service

    @property
    def identity(self) -> str:
        """Who this is."""
        return self._service_client.config.identity

    @property
    def rpc_metadata(self) -> Mapping[str, str | bytes]:
        """Headers of each call. Assign to replace them."""
        return self._service_client.config.rpc_metadata

    @rpc_metadata.setter
    def rpc_metadata(self, value: Mapping[str, str | bytes]) -> None:
        self._service_client.update_rpc_metadata(value)
        self._service_client.config.rpc_metadata = value

    @property
    def api_key(self) -> str | None:
        """Sent with each call as authorization. Assign to replace it."""
        return self._service_client.config.api_key

    @api_key.setter
    def api_key(self, value: str | None) -> None:
        self._service_client.update_api_key(value)
        self._service_client.config.api_key = value
