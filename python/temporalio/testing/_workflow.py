"""Runs workflows against a server made for the test, or one there is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import temporalio.client
import temporalio.common
import temporalio.converter
import temporalio.exceptions
import temporalio.service
import temporalio.worker
from temporalio.testing._dev_server import DevServer
from temporalio.testing._timeskipping import TimeSkipper, TimeSkippingConfig

if TYPE_CHECKING:
    import temporalio.api.common.v1
    import temporalio.api.nexus.v1
    import temporalio.runtime


class WorkflowEnvironment:
    """A server and a client of it, for testing workflows.

    Failed assertions in workflows run through its client fail the workflow instead of its task, so that a test does not
    wait for ever. Used with ``async with``, it is shut down at the end.
    """

    @classmethod
    def from_client(cls, client: temporalio.client.Client) -> WorkflowEnvironment:
        """An environment around a client there is.

        Args:
            client: The client.
        """
        return cls(_client_with_interceptors(client, _AssertionErrorInterceptor()))

    @classmethod
    async def start_local(
        cls,
        *,
        namespace: str = "default",
        data_converter: temporalio.converter.DataConverter = temporalio.converter.DataConverter.default,
        interceptors: Sequence[temporalio.client.Interceptor] = [],
        plugins: Sequence[temporalio.client.Plugin] = [],
        default_workflow_query_reject_condition: temporalio.common.QueryRejectCondition | None = None,
        retry_config: temporalio.service.RetryConfig | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        identity: str | None = None,
        tls: bool | temporalio.service.TLSConfig = False,
        ip: str = "127.0.0.1",
        port: int | None = None,
        download_dest_dir: str | None = None,
        ui: bool = False,
        runtime: temporalio.runtime.Runtime | None = None,
        search_attributes: Sequence[temporalio.common.SearchAttributeKey] = (),
        dev_server_existing_path: str | None = None,
        dev_server_database_filename: str | None = None,
        dev_server_log_format: str = "pretty",
        dev_server_log_level: str | None = "warn",
        dev_server_download_version: str = "default",
        dev_server_extra_args: Sequence[str] = [],
        dev_server_download_ttl: timedelta | None = None,
        dev_server_startup_timeout: timedelta | None = None,
        ui_port: int | None = None,
    ) -> WorkflowEnvironment:
        """Starts the server that comes with this package and connects to it. Nothing is downloaded.

        Args:
            namespace: The namespace to make.
            data_converter: See :py:meth:`temporalio.client.Client.connect`, as for the next ones.
            interceptors: As there.
            plugins: As there.
            default_workflow_query_reject_condition: As there.
            retry_config: As there.
            rpc_metadata: As there.
            identity: As there.
            tls: As there; the server needs extra arguments for it.
            ip: The address to listen on.
            port: The port; a free one if None.
            download_dest_dir: Of no effect, since nothing is downloaded.
            ui: Whether the server has its web page.
            runtime: As there.
            search_attributes: Search attributes to register.
            dev_server_existing_path: Another server's executable, called with the same arguments.
            dev_server_database_filename: The file to keep data in; in memory if None.
            dev_server_log_format: How the server's log looks.
            dev_server_log_level: From which level on it logs.
            dev_server_download_version: Of no effect, likewise.
            dev_server_extra_args: More arguments for the server.
            dev_server_download_ttl: Of no effect, likewise.
            dev_server_startup_timeout: How long it may take to start.
            ui_port: The port of the web page, which turns it on.

        Returns:
            The environment.

        Raises:
            RuntimeError: The server did not start.
        """
        server = await DevServer.start(
            namespace=namespace,
            ip=ip,
            port=port,
            path=dev_server_existing_path,
            database_filename=dev_server_database_filename,
            ui=ui,
            ui_port=ui_port,
            log_format=dev_server_log_format,
            log_level=dev_server_log_level,
            search_attributes=search_attributes,
            extra_args=dev_server_extra_args,
            startup_timeout=dev_server_startup_timeout,
        )
        try:
            client = await temporalio.client.Client.connect(
                server.target,
                namespace=namespace,
                data_converter=data_converter,
                interceptors=interceptors,
                plugins=plugins,
                default_workflow_query_reject_condition=default_workflow_query_reject_condition,
                tls=tls,
                retry_config=retry_config,
                rpc_metadata=rpc_metadata,
                identity=identity,
                runtime=runtime,
            )
        except BaseException:
            await server.shutdown()
            raise
        return _LocalEnvironment(client, server)

    @classmethod
    async def start_time_skipping(
        cls,
        *,
        data_converter: temporalio.converter.DataConverter = temporalio.converter.DataConverter.default,
        interceptors: Sequence[temporalio.client.Interceptor] = [],
        plugins: Sequence[temporalio.client.Plugin] = [],
        default_workflow_query_reject_condition: temporalio.common.QueryRejectCondition | None = None,
        retry_config: temporalio.service.RetryConfig | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        identity: str | None = None,
        port: int | None = None,
        download_dest_dir: str | None = None,
        runtime: temporalio.runtime.Runtime | None = None,
        test_server_existing_path: str | None = None,
        test_server_download_version: str = "default",
        test_server_extra_args: Sequence[str] = [],
        test_server_download_ttl: timedelta | None = None,
        test_server_startup_timeout: timedelta | None = None,
    ) -> WorkflowEnvironment:
        """Would start a server whose clock runs ahead whenever nothing but time is waited for.

        Raises:
            RuntimeError: Always: the server that comes with this package keeps to the real time so far.
        """
        raise RuntimeError(
            "This package's server does not skip time yet. Use WorkflowEnvironment.start_local with short timers, or "
            "from_client with a client of a server that does."
        )

    @classmethod
    async def start_time_skipping_v2(
        cls,
        *,
        ts_config: TimeSkippingConfig = TimeSkippingConfig(),
        **kwargs: Any,
    ) -> WorkflowEnvironment:
        """As :py:meth:`start_local`, with workflows that skip time each by its own clock. The server has to know how.

        Args:
            ts_config: What workflows are started with.
            kwargs: The arguments of :py:meth:`start_local`.

        Returns:
            The environment.
        """
        environment = await cls.start_local(**kwargs)
        assert isinstance(environment, _LocalEnvironment)
        environment._skipper = TimeSkipper(environment._client, config=ts_config)
        environment._client = environment._skipper.client
        return environment

    def __init__(self, client: temporalio.client.Client) -> None:
        """Makes an environment; programs use the class methods."""
        self._client = client

    async def __aenter__(self) -> WorkflowEnvironment:
        """Itself."""
        return self

    async def __aexit__(self, *args: Any) -> None:
        """Shuts it down."""
        await self.shutdown()

    @property
    def client(self) -> temporalio.client.Client:
        """The client."""
        return self._client

    async def connect_client(self, **kwargs: Any) -> temporalio.client.Client:
        """Connects another client to the same server and namespace, with default options otherwise.

        Args:
            kwargs: What shall be different, as in :py:meth:`temporalio.client.Client.connect`.
        """
        config = self._client.service_client.config
        options: dict[str, Any] = {
            "namespace": self._client.namespace,
            "api_key": config.api_key,
            "tls": config.tls,
            "rpc_metadata": config.rpc_metadata,
            "runtime": config.runtime,
            **kwargs,
        }
        return await temporalio.client.Client.connect(options.pop("target_host", config.target_host), **options)

    async def shutdown(self) -> None:
        """Ends the server, if it was started for this environment."""

    async def sleep(self, duration: timedelta | float) -> None:
        """Waits, by the environment's clock.

        Args:
            duration: How long, in seconds if a number.
        """
        await asyncio.sleep(duration.total_seconds() if isinstance(duration, timedelta) else duration)

    async def get_current_time(self, handle: temporalio.client.WorkflowHandle[Any, Any] | None = None) -> datetime:
        """The time by the environment's clock, or by a workflow's own.

        Args:
            handle: The workflow, where each has its own clock.
        """
        return datetime.now(timezone.utc)

    @property
    def supports_time_skipping(self) -> bool:
        """Whether time is skipped in any way."""
        return self.supports_time_skipping_v1 or self.supports_time_skipping_v2

    @property
    def supports_time_skipping_v1(self) -> bool:
        """Whether the server's clock runs ahead."""
        return False

    @property
    def supports_time_skipping_v2(self) -> bool:
        """Whether each workflow's own clock does."""
        return False

    @contextmanager
    def auto_time_skipping_disabled(self) -> Iterator[None]:
        """Waiting for results inside of the block does not skip time."""
        yield None

    @contextmanager
    def with_time_skipping_disabled(self) -> Iterator[None]:
        """Workflows started inside of the block do not skip time."""
        with self.auto_time_skipping_disabled():
            yield None

    async def fast_forward(
        self,
        handle: temporalio.client.WorkflowHandle[Any, Any],
        duration: timedelta | float | None = None,
        /,
    ) -> bool:
        """Lets a workflow's own clock run ahead; see :py:meth:`TimeSkipper.fast_forward`.

        Raises:
            NotImplementedError: Workflows here have no clock of their own.
        """
        raise NotImplementedError("Workflows of this environment have no clock of their own")

    async def get_time_skipping_info(
        self, handle: temporalio.client.WorkflowHandle[Any, Any]
    ) -> temporalio.api.common.v1.TimeSkippingInfo | None:
        """What the server knows of a workflow's own clock.

        Raises:
            NotImplementedError: Workflows here have no clock of their own.
        """
        raise NotImplementedError("Workflows of this environment have no clock of their own")

    async def create_nexus_endpoint(self, endpoint_name: str, task_queue: str) -> temporalio.api.nexus.v1.Endpoint:
        """Makes a Nexus endpoint.

        Args:
            endpoint_name: Its name.
            task_queue: The queue whose workers serve it.
        """
        import temporalio.api.nexus.v1
        import temporalio.api.operatorservice.v1

        target = temporalio.api.nexus.v1.EndpointTarget(
            worker=temporalio.api.nexus.v1.EndpointTarget.Worker(namespace=self.client.namespace, task_queue=task_queue)
        )
        response = await self.client.operator_service.create_nexus_endpoint(
            temporalio.api.operatorservice.v1.CreateNexusEndpointRequest(
                spec=temporalio.api.nexus.v1.EndpointSpec(name=endpoint_name, target=target)
            )
        )
        return response.endpoint

    async def delete_nexus_endpoint(self, endpoint: temporalio.api.nexus.v1.Endpoint) -> None:
        """Takes a Nexus endpoint away.

        Args:
            endpoint: What :py:meth:`create_nexus_endpoint` gave.
        """
        import temporalio.api.operatorservice.v1

        await self.client.operator_service.delete_nexus_endpoint(
            temporalio.api.operatorservice.v1.DeleteNexusEndpointRequest(id=endpoint.id, version=endpoint.version)
        )


class _LocalEnvironment(WorkflowEnvironment):
    """An environment with a server of its own."""

    def __init__(self, client: temporalio.client.Client, server: DevServer) -> None:
        super().__init__(_client_with_interceptors(client, _AssertionErrorInterceptor()))
        self._server = server
        self._skipper: TimeSkipper | None = None

    async def shutdown(self) -> None:
        await self._server.shutdown()

    @property
    def supports_time_skipping_v2(self) -> bool:
        return self._skipper is not None

    async def get_current_time(self, handle: temporalio.client.WorkflowHandle[Any, Any] | None = None) -> datetime:
        if self._skipper is None or handle is None:
            return await super().get_current_time(handle)
        return await self._skipper.get_current_time(handle)

    @contextmanager
    def auto_time_skipping_disabled(self) -> Iterator[None]:
        if self._skipper is None:
            yield None
        else:
            with self._skipper.with_time_skipping_disabled():
                yield None

    async def fast_forward(
        self,
        handle: temporalio.client.WorkflowHandle[Any, Any],
        duration: timedelta | float | None = None,
        /,
    ) -> bool:
        if self._skipper is None:
            return await super().fast_forward(handle, duration)
        return await self._skipper.fast_forward(handle, duration)

    async def get_time_skipping_info(
        self, handle: temporalio.client.WorkflowHandle[Any, Any]
    ) -> temporalio.api.common.v1.TimeSkippingInfo | None:
        if self._skipper is None:
            return await super().get_time_skipping_info(handle)
        return await self._skipper.get_time_skipping_info(handle)


def _client_with_interceptors(
    client: temporalio.client.Client, *interceptors: temporalio.client.Interceptor
) -> temporalio.client.Client:
    """A client like another, with these interceptors before its own."""
    config = client.config()
    config["interceptors"] = [*interceptors, *config["interceptors"]]
    return temporalio.client.Client(**config)


def _words_of(err: AssertionError) -> str:
    """What was asserted: the statement itself where it came without words."""
    import ast
    import linecache
    import traceback

    frames = traceback.extract_tb(err.__traceback__)
    if str(err) or not frames:
        return str(err)
    line = linecache.getline(frames[-1].filename, frames[-1].lineno or 0).strip()
    try:
        return ast.unparse(ast.parse(line))
    except SyntaxError:  # the first of several lines
        return line


class _AssertionErrorInterceptor(temporalio.client.Interceptor, temporalio.worker.Interceptor):
    """Makes failed assertions in workflows fail the workflow."""

    def workflow_interceptor_class(
        self, input: temporalio.worker.WorkflowInterceptorClassInput
    ) -> type[temporalio.worker.WorkflowInboundInterceptor] | None:
        return _AssertionErrorWorkflowInboundInterceptor


class _AssertionErrorWorkflowInboundInterceptor(temporalio.worker.WorkflowInboundInterceptor):
    async def execute_workflow(self, input: temporalio.worker.ExecuteWorkflowInput) -> Any:
        with self._failing_workflow():
            return await super().execute_workflow(input)

    async def handle_signal(self, input: temporalio.worker.HandleSignalInput) -> None:
        with self._failing_workflow():
            return await super().handle_signal(input)

    @contextmanager
    def _failing_workflow(self) -> Iterator[None]:
        try:
            yield None
        except AssertionError as err:
            failure = temporalio.exceptions.ApplicationError(_words_of(err), type="AssertionError")
            failure.__traceback__ = err.__traceback__
            raise failure from None
