"""The connection to a server, and its raw services: one method per RPC, protobuf messages in and out.

Most programs only use :py:mod:`temporalio.client`; what is here is for its options and for RPCs it does not wrap. The
client sends plain dicts through :py:func:`_call_dict`, which does without protobuf objects.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import temporalio.exceptions
from temporalio import __version__ as _package_version
from temporalio._lazy import instance
from temporalio._values import duration_ns
from temporalio.api._services import SERVICES

if TYPE_CHECKING:
    import weakref
    from dataclasses import dataclass, field

    import google.protobuf.message

    import temporalio.api.common.v1
    import temporalio.runtime
    from temporalio import _core
    from temporalio.api._services import CloudService as _CloudService
    from temporalio.api._services import HealthService as _HealthService
    from temporalio.api._services import OperatorService as _OperatorService
    from temporalio.api._services import TestService as _TestService
    from temporalio.api._services import WorkflowService as _WorkflowService
else:
    from dataclasses import field

    from temporalio._lazy import dataclass

__version__ = _package_version

logger = logging.getLogger("temporalio.service")

# Whether requests and replies are logged, at debug level.
LOG_PROTOS = os.environ.get("TEMPORAL_LOG_PROTOS", "").lower() in ("1", "true")

ServiceRequest = TypeVar("ServiceRequest", bound="google.protobuf.message.Message")
ServiceResponse = TypeVar("ServiceResponse", bound="google.protobuf.message.Message")

_CLIENT_NAME = "temporal-python"
_MS = 1_000_000


@dataclass
class TLSConfig:
    """How to secure the connection."""

    server_root_ca_cert: bytes | None = None
    """PEM of the authorities that may vouch for the server; the system's if None."""

    domain: str | None = None
    """The server's name: what is asked for in the handshake and looked for in the certificate. The host if None."""

    client_cert: bytes | None = None
    """PEM of the client's certificate, for mutual TLS; needs the key too."""

    client_private_key: bytes | None = None
    """PEM of that certificate's key."""

    verification_server_name: str | None = None
    """The name to look for in the certificate, when it is another than the one asked for. Needs the root CA."""

    def _to_bridge_config(self) -> _TLSOptions:
        return _TLSOptions(
            self.server_root_ca_cert,
            self.domain,
            self.client_cert,
            self.client_private_key,
            self.verification_server_name,
        )


@dataclass
class _TLSOptions:
    """TLS options as the C side takes them."""

    server_root_ca_cert: bytes | None
    domain: str | None
    client_cert: bytes | None
    client_private_key: bytes | None
    verification_server_name: str | None

    def _to_dict(self) -> dict[str, Any]:
        if (self.client_cert is None) != (self.client_private_key is None):
            raise ValueError("A client certificate and its private key go together")
        if self.verification_server_name is not None and self.server_root_ca_cert is None:
            raise ValueError("verification_server_name needs the server root CA cert to verify against")
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass
class RetryConfig:
    """How calls that may be repeated are repeated."""

    initial_interval_millis: int = 100
    """The pause before the second try."""
    randomization_factor: float = 0.2
    """By how much a pause may be longer or shorter."""
    multiplier: float = 1.5
    """What each further pause is multiplied by."""
    max_interval_millis: int = 5000
    """The longest pause."""
    max_elapsed_time_millis: int | None = 10000
    """How long to go on in all; None for no limit."""
    max_retries: int = 10
    """How often to try again; 0 not at all."""

    def _to_dict(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "initial_interval": self.initial_interval_millis * _MS,
            "randomization_factor": self.randomization_factor,
            "multiplier": self.multiplier,
            "max_interval": self.max_interval_millis * _MS,
            "max_retries": self.max_retries,
        }
        if self.max_elapsed_time_millis is not None:
            options["max_elapsed_time"] = self.max_elapsed_time_millis * _MS
        return options


@dataclass(frozen=True)
class KeepAliveConfig:
    """How a silent connection is checked."""

    interval_millis: int = 30000
    """The pause between two pings."""
    timeout_millis: int = 15000
    """How long the answer may take before the connection counts as dead."""

    default: ClassVar[KeepAliveConfig]
    """What a connection does unless told otherwise."""


KeepAliveConfig.default = instance(KeepAliveConfig, interval_millis=30000, timeout_millis=15000)


@dataclass(frozen=True)
class HttpConnectProxyConfig:
    """A proxy that is asked, by HTTP CONNECT, for the way to the server."""

    target_host: str
    """Host and port of the proxy."""
    basic_auth: tuple[str, str] | None = None
    """User and password for it."""


@dataclass(frozen=True)
class DnsLoadBalancingConfig:
    """Spreads calls over all addresses the server's name has."""

    resolution_interval_millis: int = 30000
    """The pause between two look-ups."""

    default: ClassVar[DnsLoadBalancingConfig]
    """A look-up every 30 seconds."""


DnsLoadBalancingConfig.default = instance(DnsLoadBalancingConfig, resolution_interval_millis=30000)


class GrpcCompression(ABC):
    """Whether requests are compressed; use one of the constants."""

    GZIP: ClassVar[GrpcCompression]
    """Requests are compressed with gzip where it pays."""

    NONE: ClassVar[GrpcCompression]
    """They are not."""

    @abstractmethod
    def _to_bridge_config(self) -> str: ...


@dataclass(frozen=True)
class _GzipGrpcCompression(GrpcCompression):
    """Compression on."""

    def _to_bridge_config(self) -> str:
        return "gzip"


@dataclass(frozen=True)
class _NoGrpcCompression(GrpcCompression):
    """Compression off."""

    def _to_bridge_config(self) -> str:
        return "none"


GrpcCompression.GZIP = instance(_GzipGrpcCompression)
GrpcCompression.NONE = instance(_NoGrpcCompression)


@dataclass(frozen=True)
class PayloadLimitsConfig:
    """From which size on a request is warned of; servers refuse larger ones still."""

    payloads_warn_size: int = 512 * 1024
    """Bytes of the payloads of one field; 0 for no warning."""
    memo_warn_size: int = 2 * 1024
    """Bytes of a memo; 0 for no warning."""


_DEFAULT_PAYLOAD_LIMITS = instance(PayloadLimitsConfig, payloads_warn_size=512 * 1024, memo_warn_size=2 * 1024)


def _default_identity() -> str:
    return f"{os.getpid()}@{socket.gethostname()}"


@dataclass
class ConnectConfig:
    """Where and how to connect."""

    target_host: str
    api_key: str | None = None
    tls: bool | TLSConfig | None = None
    retry_config: RetryConfig | None = None
    keep_alive_config: KeepAliveConfig | None = KeepAliveConfig.default
    rpc_metadata: Mapping[str, str | bytes] = field(default_factory=dict)
    identity: str = ""
    lazy: bool = False
    runtime: temporalio.runtime.Runtime | None = None
    http_connect_proxy_config: HttpConnectProxyConfig | None = None
    dns_load_balancing_config: DnsLoadBalancingConfig | None = None
    grpc_compression: GrpcCompression = GrpcCompression.GZIP
    payload_limits: PayloadLimitsConfig = field(default_factory=PayloadLimitsConfig)
    connect_timeout: timedelta | None = None

    def __post_init__(self) -> None:
        """Fills in the identity."""
        if not self.identity:
            self.identity = _default_identity()

    def _to_bridge_config(self) -> _ConnectionOptions:
        _check_metadata(self.rpc_metadata)
        tls: _TLSOptions | None = None
        if isinstance(self.tls, TLSConfig):
            tls = self.tls._to_bridge_config()
        elif self.tls or (self.tls is None and self.api_key is not None):
            # An API key must not travel in clear unless somebody says so.
            tls = TLSConfig()._to_bridge_config()
        return _ConnectionOptions(
            target_url=f"{'https' if tls else 'http'}://{self.target_host}",
            tls_config=tls,
            config=self,
            dns_load_balancing_config=self.dns_load_balancing_config,
            grpc_compression=self.grpc_compression._to_bridge_config(),
        )


@dataclass
class _ConnectionOptions:
    """Connection options, checked."""

    target_url: str
    tls_config: _TLSOptions | None
    config: ConnectConfig
    dns_load_balancing_config: DnsLoadBalancingConfig | None
    grpc_compression: str

    def _to_dict(self) -> dict[str, Any]:
        config = self.config
        options: dict[str, Any] = {
            "target_host": config.target_host,
            "metadata": list(config.rpc_metadata.items()),
            "client_name": _CLIENT_NAME,
            "client_version": __version__,
            "retry": (config.retry_config or RetryConfig())._to_dict(),
            "gzip": self.grpc_compression == "gzip",
            "payloads_warn_size": config.payload_limits.payloads_warn_size,
            "memo_warn_size": config.payload_limits.memo_warn_size,
        }
        if self.tls_config is not None:
            options["tls"] = self.tls_config._to_dict()
        if config.api_key is not None:
            options["api_key"] = config.api_key
        if config.keep_alive_config is not None:
            options["keep_alive"] = {
                "interval": config.keep_alive_config.interval_millis * _MS,
                "timeout": config.keep_alive_config.timeout_millis * _MS,
            }
        proxy = config.http_connect_proxy_config
        if proxy is not None:
            options["proxy"] = {"target_host": proxy.target_host}
            if proxy.basic_auth is not None:
                options["proxy"]["user"], options["proxy"]["password"] = proxy.basic_auth
        if config.dns_load_balancing_config is not None:
            options["dns_resolution_interval"] = config.dns_load_balancing_config.resolution_interval_millis * _MS
        if config.connect_timeout is not None:
            options["connect_timeout"] = duration_ns(config.connect_timeout)
        return options


def _check_metadata(metadata: Mapping[str, str | bytes]) -> None:
    for name, value in metadata.items():
        is_binary = name.endswith("-bin")
        if is_binary != isinstance(value, bytes):
            raise ValueError(
                f"Metadata {name!r} must be {'bytes' if is_binary else 'str'}: names that end in -bin carry bytes"
            )


class RPCStatusCode(IntEnum):
    """How a call ended. Values are those of gRPC."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class RPCError(temporalio.exceptions.TemporalError):
    """A call that the server refused, or that did not reach it."""

    def __init__(self, message: str, status: RPCStatusCode, raw_grpc_status: bytes) -> None:
        """Makes the error.

        Args:
            message: What the server said.
            status: How the call ended.
            raw_grpc_status: The bytes of the status message with its details, empty without.
        """
        super().__init__(message)
        self._message = message
        self._status = status
        self._raw_grpc_status = raw_grpc_status
        self._grpc_status: temporalio.api.common.v1.GrpcStatus | None = None

    @property
    def message(self) -> str:
        """What the server said."""
        return self._message

    @property
    def status(self) -> RPCStatusCode:
        """How the call ended."""
        return self._status

    @property
    def raw_grpc_status(self) -> bytes:
        """The status message as bytes."""
        return self._raw_grpc_status

    @property
    def grpc_status(self) -> temporalio.api.common.v1.GrpcStatus:
        """The status message, with the error's details as ``Any`` messages."""
        if self._grpc_status is None:
            import temporalio.api.common.v1

            self._grpc_status = temporalio.api.common.v1.GrpcStatus.FromString(self._raw_grpc_status)
        return self._grpc_status

    def _detail(self, type_name: str) -> dict[str, Any] | None:
        """The first detail of this type as a dict, None without one."""
        from temporalio import _core

        if getattr(self, "_grpc_status", None) is not None or not self._raw_grpc_status:
            # Somebody has looked at, or made, the message itself.
            status = getattr(self, "_grpc_status", None)
            details = [{"type_url": d.type_url, "value": d.value} for d in status.details] if status else []
        else:
            details = _core.decode("google.rpc.Status", self._raw_grpc_status).get("details", [])
        for detail in details:
            if detail.get("type_url", "").rpartition("/")[2] == type_name:
                return _core.decode(type_name, detail.get("value", b""))
        return None


# --- loops and connections --------------------------------------------------------------------------------------------

_core_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _core.Loop] | None = None


def _core_loop() -> _core.Loop:
    """The carrier of completions to the running event loop; made at its first call and gone with the loop."""
    global _core_loops
    if _core_loops is None:
        import weakref

        _core_loops = weakref.WeakKeyDictionary()
    running = asyncio.get_running_loop()
    found = _core_loops.get(running)
    if found is None:
        from temporalio import _core

        found = _core.Loop()
        running.add_reader(found.fileno(), found.drain)
        _core_loops[running] = found
    return found


async def _await_call(future: asyncio.Future[Any], cancel: Callable[[], None]) -> Any:
    """Waits for a call; takes its failure to RPCError, and the caller's cancellation to the call."""
    from temporalio import _core

    try:
        return await future
    except _core.RPCFailure as err:
        code, message, status = err.args
        raise RPCError(message, RPCStatusCode(code), status) from None
    except asyncio.CancelledError:
        cancel()
        raise


class ServiceClient(ABC):
    """A connection, with a raw service for each of the server's.

    Attributes:
        config: What it was made from.
        workflow_service: The service that runs workflows.
        operator_service: The one that manages the server.
        cloud_service: The one of Temporal Cloud's operations.
        test_service: The one of test servers, which skip time.
        health_service: The one that says whether the server is well.
    """

    @staticmethod
    async def connect(config: ConnectConfig) -> ServiceClient:
        """Connects.

        Args:
            config: Where and how.

        Returns:
            A client that has reached the server, or that will with its first call if the config is lazy.
        """
        return await _BridgeServiceClient.connect(config)

    def __init__(self, config: ConnectConfig) -> None:
        """Makes the raw services; called by subclasses."""
        super().__init__()
        self.config = config
        self.workflow_service = WorkflowService(self)
        self.operator_service = OperatorService(self)
        self.cloud_service = CloudService(self)
        self.test_service = TestService(self)
        self.health_service = HealthService(self)

    async def check_health(
        self,
        *,
        service: str = "temporal.api.workflowservice.v1.WorkflowService",
        retry: bool = False,
        metadata: Mapping[str, str | bytes] = {},
        timeout: timedelta | None = None,
    ) -> bool:
        """Asks whether a service of the server is well.

        Args:
            service: The service's full name.
            retry: Whether to try again when the call fails for a passing reason.
            metadata: Headers for this call.
            timeout: How long to wait.

        Returns:
            Whether it serves.
        """
        reply = await _call_dict(
            self.health_service, "check", {"service": service}, retry=retry, metadata=metadata, timeout=timeout
        )
        return reply.get("status") == 1

    @property
    @abstractmethod
    def worker_service_client(self) -> _BridgeServiceClient:
        """The connection itself, as workers need it."""
        raise NotImplementedError

    @abstractmethod
    def update_rpc_metadata(self, metadata: Mapping[str, str | bytes]) -> None:
        """Replaces the headers of further calls."""
        raise NotImplementedError

    @abstractmethod
    def update_api_key(self, api_key: str | None) -> None:
        """Replaces the API key of further calls."""
        raise NotImplementedError

    @abstractmethod
    async def _rpc_call(
        self,
        rpc: str,
        req: google.protobuf.message.Message,
        resp_type: type[ServiceResponse],
        *,
        service: str,
        retry: bool,
        metadata: Mapping[str, str | bytes],
        timeout: timedelta | None,
    ) -> ServiceResponse:
        raise NotImplementedError


class _BridgeServiceClient(ServiceClient):
    """The one kind of connection there is."""

    @staticmethod
    async def connect(config: ConnectConfig) -> _BridgeServiceClient:
        client = _BridgeServiceClient(config)
        if not config.lazy:
            await client._connected()
        return client

    def __init__(self, config: ConnectConfig) -> None:
        super().__init__(config)
        # Checked now, so that a lazy client does not hide a mistake until its first call.
        self._options = config._to_bridge_config()._to_dict()
        self._connection: _core.Connection | None = None
        self._connecting: asyncio.Future[None] | None = None
        # Workers that run on this connection, by namespace and queue: those that can take the first task of a workflow
        # along with the answer to its start.
        self._workers: dict[tuple[str, str], list[_core.Worker]] = {}
        # The same connection, once it has reached the server.
        self._bridge_client: _core.Connection | None = None

    @property
    def connection(self) -> _core.Connection:
        """The connection to hand to a worker of the C side."""
        if self._connection is None:
            from temporalio import _core, runtime

            chosen = self.config.runtime or runtime.Runtime.default()
            self._connection = _core.Connection(chosen._core_runtime, self._options)
        return self._connection

    async def _connected(self) -> _core.Connection:
        """The connection, once it has reached the server for the first time."""
        if self._bridge_client is not None:
            return self._bridge_client
        connection = self.connection
        # Several first calls at once share one attempt, each on its own loop if need be.
        running = asyncio.get_running_loop()
        attempt = self._connecting
        if attempt is None or attempt.done() or attempt.get_loop() is not running:
            attempt = self._connecting = running.create_future()
            connection.connect(_core_loop(), attempt)
        from temporalio import _core

        try:
            await asyncio.shield(attempt)
        except _core.RPCFailure as err:
            raise RuntimeError(f"Failed client connect: {err.args[1]}") from None
        finally:
            if attempt.done() and self._connecting is attempt:
                self._connecting = None
        self._bridge_client = connection
        return connection

    async def _connected_within(self, seconds: float | None) -> tuple[_core.Connection, float | None]:
        """The connection, and what it has left of the time of a call. The attempt goes on when a call gives up."""
        if seconds is None:
            return await self._connected(), None
        now = asyncio.get_running_loop().time
        until = now() + seconds
        try:
            connection = await asyncio.wait_for(self._connected(), seconds)
        except asyncio.TimeoutError:
            raise RPCError("not connected in time", RPCStatusCode.DEADLINE_EXCEEDED, b"") from None
        return connection, max(until - now(), 0.000001)

    def _reserve_workflow_task(self, namespace: str, task_queue: str) -> tuple[_core.Worker, int] | None:
        for worker in self._workers.get((namespace, task_queue), ()):
            slot = worker.reserve_workflow_task()
            if slot:
                return worker, slot
        return None

    @property
    def worker_service_client(self) -> _BridgeServiceClient:
        return self

    def update_rpc_metadata(self, metadata: Mapping[str, str | bytes]) -> None:
        _check_metadata(metadata)
        self.connection.update_metadata(list(metadata.items()))

    def update_api_key(self, api_key: str | None) -> None:
        self.connection.update_api_key(api_key)

    async def _dict_call(
        self,
        path: str,
        request: dict[str, Any],
        *,
        retry: bool,
        metadata: Mapping[str, str | bytes],
        timeout: timedelta | None,
    ) -> dict[str, Any]:
        if LOG_PROTOS:
            logger.debug("Service %s request: %s", path, request)
        reply = await self._send(path, request, retry, metadata, timeout, raw=False)
        if LOG_PROTOS:
            logger.debug("Service %s response: %s", path, reply)
        return reply

    async def _send(
        self,
        path: str,
        request: bytes | dict[str, Any],
        retry: bool,
        metadata: Mapping[str, str | bytes],
        timeout: timedelta | None,
        *,
        raw: bool,
    ) -> Any:
        if metadata:
            _check_metadata(metadata)
        seconds = None if timeout is None else timeout.total_seconds()
        connection = self._bridge_client
        if connection is None:
            connection, seconds = await self._connected_within(seconds)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        call = connection.call(
            _core_loop(),
            future,
            path,
            request,
            retry=retry,
            metadata=list(metadata.items()),
            timeout=seconds,
            raw=raw,
        )
        return await _await_call(future, call.cancel)

    async def _rpc_call(
        self,
        rpc: str,
        req: google.protobuf.message.Message,
        resp_type: type[ServiceResponse],
        *,
        service: str,
        retry: bool,
        metadata: Mapping[str, str | bytes],
        timeout: timedelta | None,
    ) -> ServiceResponse:
        path = f"/{service}/{rpc}"
        if LOG_PROTOS:
            logger.debug("Service %s request: %s", path, req)
        data = await self._send(path, req.SerializeToString(), retry, metadata, timeout, raw=True)
        response = resp_type.FromString(data)
        if LOG_PROTOS:
            logger.debug("Service %s response: %s", path, response)
        return response


# --- raw services -----------------------------------------------------------------------------------------------------


class _Service:
    """Base of the raw services. ``_rpcs`` has path, request and response type of each method."""

    _rpcs: ClassVar[Mapping[str, tuple[str, str, str]]]
    service: str

    def __init__(self, client: ServiceClient):
        """Makes the service of this connection."""
        self.client = client


def _make_service(name: str) -> Any:
    """The base class of a raw service, from the table the interface files gave."""
    full_name, methods = SERVICES[name]
    rpcs = {m: (f"/{full_name}/{rpc}", request, response) for m, (rpc, request, response) in methods.items()}
    members: dict[str, Any] = {"_rpcs": rpcs, "service": full_name, "__module__": __name__}
    for method, (rpc, _, response) in methods.items():
        members[method] = _make_method(full_name, method, rpc, response)
    return type(name, (_Service,), members)


def _make_method(service: str, method: str, rpc: str, response_type: str) -> Callable[..., Any]:
    async def call(
        self: _Service,
        req: google.protobuf.message.Message,
        retry: bool = False,
        metadata: Mapping[str, str | bytes] = {},
        timeout: timedelta | None = None,
    ) -> Any:
        from temporalio.converter._messages import message_class

        return await self.client._rpc_call(
            rpc,
            req,
            message_class(response_type),
            service=service,
            retry=retry,
            metadata=metadata,
            timeout=timeout,
        )

    call.__name__ = method
    call.__qualname__ = f"{service.rpartition('.')[2]}.{method}"
    call.__doc__ = f"Calls {rpc}."
    return call


if not TYPE_CHECKING:
    _WorkflowService = _make_service("WorkflowService")
    _OperatorService = _make_service("OperatorService")
    _CloudService = _make_service("CloudService")
    _TestService = _make_service("TestService")
    _HealthService = _make_service("HealthService")


class WorkflowService(_WorkflowService):
    """Raw calls of the service that runs workflows."""

    def __init__(self, client: ServiceClient):
        """Makes the service of this connection."""
        super().__init__(client)


class OperatorService(_OperatorService):
    """Raw calls of the service that manages the server."""

    def __init__(self, client: ServiceClient):
        """Makes the service of this connection."""
        super().__init__(client)


class CloudService(_CloudService):
    """Raw calls of the service of Temporal Cloud's operations."""

    def __init__(self, client: ServiceClient):
        """Makes the service of this connection."""
        super().__init__(client)


class TestService(_TestService):
    """Raw calls of the service of test servers."""

    __test__ = False

    def __init__(self, client: ServiceClient):
        """Makes the service of this connection."""
        super().__init__(client)


class HealthService(_HealthService):
    """Raw calls of the service that says whether the server is well."""

    def __init__(self, client: ServiceClient):
        """Makes the service of this connection."""
        super().__init__(client)


async def _call_dict(
    service: Any,
    method: str,
    request: dict[str, Any],
    *,
    retry: bool = True,
    metadata: Mapping[str, str | bytes] = {},
    timeout: timedelta | None = None,
) -> dict[str, Any]:
    """Calls a raw service's method with a dict for a dict.

    Where a program has put something of its own in the method's place, or in the connection's, that is called with the
    protobuf messages it expects.
    """
    kind = type(service)
    if (
        isinstance(service, _Service)
        and kind.__module__ == __name__
        and method not in service.__dict__
        and type(service.client) is _BridgeServiceClient
    ):
        return await service.client._dict_call(
            kind._rpcs[method][0], request, retry=retry, metadata=metadata, timeout=timeout
        )
    from temporalio.converter._messages import message_from_dict, message_to_dict

    stock: Any = kind if issubclass(kind, _Service) else WorkflowService
    request_type = stock._rpcs[method][1]
    response = await getattr(service, method)(
        message_from_dict(request_type, request), retry=retry, metadata=metadata, timeout=timeout
    )
    return message_to_dict(response)
