"""The client: starts workflows, gives handles to them, and all else that a server offers to programs."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast, overload

import temporalio.common
import temporalio.converter
import temporalio.service
from temporalio.client._client_activities import _ActivityCalls
from temporalio.client._client_others import _OtherCalls
from temporalio.service import (
    _DEFAULT_PAYLOAD_LIMITS,
    ConnectConfig,
    DnsLoadBalancingConfig,
    GrpcCompression,
    HttpConnectProxyConfig,
    KeepAliveConfig,
    PayloadLimitsConfig,
    RetryConfig,
    ServiceClient,
    TLSConfig,
)
from temporalio.types import (
    LocalReturnType,
    MethodAsyncNoParam,
    MethodAsyncSingleParam,
    MultiParamSpec,
    ParamType,
    ReturnType,
    SelfType,
)

if TYPE_CHECKING:
    from typing_extensions import Concatenate, Self, Unpack

    import temporalio.client
    import temporalio.runtime
    import temporalio.workflow
    from temporalio.client._configs import ClientConfig
    from temporalio.client._interceptor import Interceptor, OutboundInterceptor
    from temporalio.client._options import StartWorkflowOptions, UpdateOptions, WorkflowOptions
    from temporalio.client._plugin import Plugin
    from temporalio.client._update import WithStartWorkflowOperation, WorkflowUpdateHandle, WorkflowUpdateStage
    from temporalio.client._workflow import WorkflowHandle
    from temporalio.client._workflow_execution import WorkflowExecutionAsyncIterator, WorkflowExecutionCount


class Client(_ActivityCalls, _OtherCalls):
    """A client of one namespace.

    Make one with :py:meth:`connect` and keep it: it may be used by any number of tasks at once. It is not for use by
    several threads or event loops, or after a fork; those connect anew. Workflow code cannot use it.
    """

    @classmethod
    async def connect(
        cls,
        target_host: str,
        *,
        namespace: str = "default",
        api_key: str | None = None,
        data_converter: temporalio.converter.DataConverter = temporalio.converter.DataConverter.default,
        plugins: Sequence[Plugin] = [],
        interceptors: Sequence[Interceptor] = [],
        default_workflow_query_reject_condition: temporalio.common.QueryRejectCondition | None = None,
        tls: bool | TLSConfig | None = None,
        retry_config: RetryConfig | None = None,
        keep_alive_config: KeepAliveConfig | None = KeepAliveConfig.default,
        connect_timeout: timedelta | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        identity: str | None = None,
        lazy: bool = False,
        runtime: temporalio.runtime.Runtime | None = None,
        http_connect_proxy_config: HttpConnectProxyConfig | None = None,
        dns_load_balancing_config: DnsLoadBalancingConfig | None = None,
        grpc_compression: GrpcCompression = GrpcCompression.GZIP,
        payload_limits: PayloadLimitsConfig = _DEFAULT_PAYLOAD_LIMITS,
        header_codec_behavior: temporalio.common.HeaderCodecBehavior = temporalio.common.HeaderCodecBehavior.NO_CODEC,
    ) -> Self:
        """Connects to a server.

        Args:
            target_host: The server, as host and port.
            namespace: The namespace all calls are about.
            api_key: Sent with each call as authorization; turns TLS on unless ``tls`` is False.
            data_converter: Converts all values.
            plugins: Take part in making the client, the first one outermost.
            interceptors: Every call goes through them, the first one outermost.
            default_workflow_query_reject_condition: For queries that give none.
            tls: Whether and how to secure the connection. None means no, unless there is an API key.
            retry_config: How calls are repeated.
            keep_alive_config: How a silent connection is checked; None for not at all.
            connect_timeout: How long reaching the server may take.
            rpc_metadata: Headers of each call.
            identity: Who this is, for servers to show; process id and host if None.
            lazy: Whether to connect with the first call only. Such a client cannot make a worker before.
            runtime: The runtime to use; the process's default if None.
            http_connect_proxy_config: A proxy on the way to the server.
            dns_load_balancing_config: Spreads calls over the addresses of the server's name.
            grpc_compression: Whether requests are compressed.
            payload_limits: From which size on requests are warned of.
            header_codec_behavior: Whether the codec is applied to headers.

        Returns:
            The client.

        Raises:
            RuntimeError: The server could not be reached.
            ValueError: An option makes no sense.
        """
        connect_config = ConnectConfig(
            target_host=target_host,
            api_key=api_key,
            tls=tls,
            retry_config=retry_config,
            keep_alive_config=keep_alive_config,
            connect_timeout=connect_timeout,
            rpc_metadata=rpc_metadata,
            identity=identity or "",
            lazy=lazy,
            runtime=runtime,
            http_connect_proxy_config=http_connect_proxy_config,
            dns_load_balancing_config=dns_load_balancing_config,
            grpc_compression=grpc_compression,
            payload_limits=payload_limits,
        )
        connect: Callable[[ConnectConfig], Awaitable[ServiceClient]] = ServiceClient.connect
        for plugin in reversed(plugins):
            connect = _through_plugin(plugin, connect)
        return cls(
            await connect(connect_config),
            namespace=namespace,
            data_converter=data_converter,
            plugins=plugins,
            interceptors=interceptors,
            default_workflow_query_reject_condition=default_workflow_query_reject_condition,
            header_codec_behavior=header_codec_behavior,
        )

    def __init__(
        self,
        service_client: ServiceClient,
        *,
        namespace: str = "default",
        data_converter: temporalio.converter.DataConverter = temporalio.converter.DataConverter.default,
        plugins: Sequence[Plugin] = [],
        interceptors: Sequence[Interceptor] = [],
        default_workflow_query_reject_condition: temporalio.common.QueryRejectCondition | None = None,
        header_codec_behavior: temporalio.common.HeaderCodecBehavior = temporalio.common.HeaderCodecBehavior.NO_CODEC,
    ):
        """Makes a client of a connection there is; see :py:meth:`connect` for the options."""
        config: ClientConfig = {
            "service_client": service_client,
            "namespace": namespace,
            "data_converter": data_converter,
            "plugins": plugins,
            "interceptors": interceptors,
            "default_workflow_query_reject_condition": default_workflow_query_reject_condition,
            "header_codec_behavior": header_codec_behavior,
        }
        # What a caller gave, for making a client like this one: the plugins are to be applied to that anew.
        self._initial_config = copy.copy(config)
        for plugin in plugins:
            config = plugin.configure_client(config)
        self._init_from_config(config)

    def _init_from_config(self, config: ClientConfig) -> None:
        from temporalio.client._impl import _ClientImpl

        self._config = config
        impl: OutboundInterceptor = _ClientImpl(self)
        for interceptor in reversed(list(config["interceptors"])):
            impl = interceptor.intercept_client(impl)
        self._impl = impl

    def config(self, *, active_config: bool = False) -> temporalio.client.ClientConfig:
        """What this client was made with, as a new dictionary.

        Args:
            active_config: Whether to give what the plugins made of it, rather than what the caller gave.
        """
        return copy.copy(self._config if active_config else self._initial_config)

    @property
    def service_client(self) -> ServiceClient:
        """The connection."""
        return self._config["service_client"]

    @property
    def workflow_service(self) -> temporalio.service.WorkflowService:
        """The raw service that runs workflows."""
        return self._config["service_client"].workflow_service

    @property
    def operator_service(self) -> temporalio.service.OperatorService:
        """The raw service that manages the server."""
        return self._config["service_client"].operator_service

    @property
    def test_service(self) -> temporalio.service.TestService:
        """The raw service of test servers."""
        return self._config["service_client"].test_service

    @property
    def namespace(self) -> str:
        """The namespace all calls are about."""
        return self._config["namespace"]

    @property
    def identity(self) -> str:
        """Who this is, for servers to show."""
        return self._config["service_client"].config.identity

    @property
    def data_converter(self) -> temporalio.converter.DataConverter:
        """Converts all values."""
        return self._config["data_converter"]

    @property
    def rpc_metadata(self) -> Mapping[str, str | bytes]:
        """Headers of each call. Assign to replace them; what is here is not to be changed in place."""
        return self.service_client.config.rpc_metadata

    @rpc_metadata.setter
    def rpc_metadata(self, value: Mapping[str, str | bytes]) -> None:
        self.service_client.update_rpc_metadata(value)
        # Only once it was accepted.
        self.service_client.config.rpc_metadata = value

    @property
    def api_key(self) -> str | None:
        """Sent with each call as authorization. Assign to replace it."""
        return self.service_client.config.api_key

    @api_key.setter
    def api_key(self, value: str | None) -> None:
        self.service_client.update_api_key(value)
        self.service_client.config.api_key = value

    # --- workflows ----------------------------------------------------------------------------------------------------

    @overload
    async def start_workflow(
        self,
        workflow: MethodAsyncNoParam[SelfType, ReturnType],
        *,
        id: str,
        task_queue: str,
        **options: Unpack[StartWorkflowOptions],
    ) -> WorkflowHandle[SelfType, ReturnType]: ...

    @overload
    async def start_workflow(
        self,
        workflow: MethodAsyncSingleParam[SelfType, ParamType, ReturnType],
        arg: ParamType,
        *,
        id: str,
        task_queue: str,
        **options: Unpack[StartWorkflowOptions],
    ) -> WorkflowHandle[SelfType, ReturnType]: ...

    @overload
    async def start_workflow(
        self,
        workflow: Callable[Concatenate[SelfType, MultiParamSpec], Awaitable[ReturnType]],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str,
        **options: Unpack[StartWorkflowOptions],
    ) -> WorkflowHandle[SelfType, ReturnType]: ...

    @overload
    async def start_workflow(
        self,
        workflow: str,
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        id: str,
        task_queue: str,
        result_type: type | None = None,
        **options: Unpack[StartWorkflowOptions],
    ) -> WorkflowHandle[Any, Any]: ...

    async def start_workflow(
        self,
        workflow: str | Callable[..., Awaitable[Any]],
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        id: str,
        task_queue: str,
        result_type: type | None = None,
        execution_timeout: timedelta | None = None,
        run_timeout: timedelta | None = None,
        task_timeout: timedelta | None = None,
        id_reuse_policy: temporalio.common.WorkflowIDReusePolicy = (
            temporalio.common.WorkflowIDReusePolicy.ALLOW_DUPLICATE
        ),
        id_conflict_policy: temporalio.common.WorkflowIDConflictPolicy = (
            temporalio.common.WorkflowIDConflictPolicy.UNSPECIFIED
        ),
        retry_policy: temporalio.common.RetryPolicy | None = None,
        cron_schedule: str = "",
        memo: Mapping[str, Any] | None = None,
        search_attributes: temporalio.common.TypedSearchAttributes | temporalio.common.SearchAttributes | None = None,
        static_summary: str | None = None,
        static_details: str | None = None,
        start_delay: timedelta | None = None,
        start_signal: str | None = None,
        start_signal_args: Sequence[Any] = [],
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
        request_eager_start: bool = False,
        priority: temporalio.common.Priority = temporalio.common.Priority.default,
        versioning_override: temporalio.common.VersioningOverride | None = None,
        stack_level: int = 2,
    ) -> WorkflowHandle[Any, Any]:
        """Starts a workflow.

        Args:
            workflow: The run method of the workflow's class, or the name of its type.
            arg: The argument, for a workflow of one.
            args: The arguments, for one of several; not together with ``arg``.
            id: The workflow's id.
            task_queue: The queue its workers poll.
            result_type: The type of its result, where the workflow is given by name.
            execution_timeout: How long it may take in all, with its retries and continuations.
            run_timeout: How long one run may take.
            task_timeout: How long one workflow task may take.
            id_reuse_policy: What to do when a closed workflow has the id.
            id_conflict_policy: What to do when a running workflow has the id; not together with the reuse policy that
                terminates.
            retry_policy: Whether and how it is retried.
            cron_schedule: When to run it again and again; see also schedules.
            memo: Values to be shown with it.
            search_attributes: Attributes to find it by.
            static_summary: One line of Markdown about it, for user interfaces.
            static_details: More about it, likewise.
            start_delay: How long to wait before its first task; not together with ``cron_schedule``.
            start_signal: A signal to be sent together with the start, whether it starts or runs already.
            start_signal_args: The signal's arguments.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.
            request_eager_start: Whether a worker of this client and queue may get the first task with the answer.
            priority: Which of the waiting tasks are handed out first.
            versioning_override: The version of its worker deployment to run on.
            stack_level: How far up the stack warnings about the arguments point.

        Returns:
            A handle to the workflow.

        Raises:
            temporalio.exceptions.WorkflowAlreadyStartedError: The id is taken.
            RPCError: The server refused.
        """
        temporalio.common._warn_on_deprecated_search_attributes(search_attributes, stack_level=stack_level)
        from temporalio.client._interceptor import StartWorkflowInput
        from temporalio.workflow import _Definition

        name, hinted_type = _Definition.get_name_and_result_type(workflow)
        return await self._impl.start_workflow(
            StartWorkflowInput(
                workflow=name,
                args=temporalio.common._arg_or_args(arg, args),
                id=id,
                task_queue=task_queue,
                execution_timeout=execution_timeout,
                run_timeout=run_timeout,
                task_timeout=task_timeout,
                id_reuse_policy=id_reuse_policy,
                id_conflict_policy=id_conflict_policy,
                retry_policy=retry_policy,
                cron_schedule=cron_schedule,
                memo=memo,
                search_attributes=search_attributes,
                start_delay=start_delay,
                headers={},
                start_signal=start_signal,
                start_signal_args=start_signal_args,
                static_summary=static_summary,
                static_details=static_details,
                ret_type=result_type or hinted_type,
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
                request_eager_start=request_eager_start,
                priority=priority,
                versioning_override=versioning_override,
            )
        )

    @overload
    async def execute_workflow(
        self,
        workflow: MethodAsyncNoParam[SelfType, ReturnType],
        *,
        id: str,
        task_queue: str,
        **options: Unpack[WorkflowOptions],
    ) -> ReturnType: ...

    @overload
    async def execute_workflow(
        self,
        workflow: MethodAsyncSingleParam[SelfType, ParamType, ReturnType],
        arg: ParamType,
        *,
        id: str,
        task_queue: str,
        **options: Unpack[WorkflowOptions],
    ) -> ReturnType: ...

    @overload
    async def execute_workflow(
        self,
        workflow: Callable[Concatenate[SelfType, MultiParamSpec], Awaitable[ReturnType]],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str,
        **options: Unpack[WorkflowOptions],
    ) -> ReturnType: ...

    @overload
    async def execute_workflow(
        self,
        workflow: str,
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        id: str,
        task_queue: str,
        result_type: type | None = None,
        **options: Unpack[WorkflowOptions],
    ) -> Any: ...

    async def execute_workflow(
        self,
        workflow: str | Callable[..., Awaitable[Any]],
        arg: Any = temporalio.common._arg_unset,
        *,
        args: Sequence[Any] = [],
        id: str,
        task_queue: str,
        result_type: type | None = None,
        execution_timeout: timedelta | None = None,
        run_timeout: timedelta | None = None,
        task_timeout: timedelta | None = None,
        id_reuse_policy: temporalio.common.WorkflowIDReusePolicy = (
            temporalio.common.WorkflowIDReusePolicy.ALLOW_DUPLICATE
        ),
        id_conflict_policy: temporalio.common.WorkflowIDConflictPolicy = (
            temporalio.common.WorkflowIDConflictPolicy.UNSPECIFIED
        ),
        retry_policy: temporalio.common.RetryPolicy | None = None,
        cron_schedule: str = "",
        memo: Mapping[str, Any] | None = None,
        search_attributes: temporalio.common.TypedSearchAttributes | temporalio.common.SearchAttributes | None = None,
        static_summary: str | None = None,
        static_details: str | None = None,
        start_delay: timedelta | None = None,
        start_signal: str | None = None,
        start_signal_args: Sequence[Any] = [],
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
        request_eager_start: bool = False,
        priority: temporalio.common.Priority = temporalio.common.Priority.default,
        versioning_override: temporalio.common.VersioningOverride | None = None,
    ) -> Any:
        """Starts a workflow and waits for its result.

        The arguments are those of :py:meth:`start_workflow`; what it and :py:meth:`WorkflowHandle.result` raise comes
        from here.
        """
        handle: WorkflowHandle[Any, Any] = await self.start_workflow(
            cast(str, workflow),
            arg,
            args=args,
            id=id,
            task_queue=task_queue,
            result_type=result_type,
            execution_timeout=execution_timeout,
            run_timeout=run_timeout,
            task_timeout=task_timeout,
            id_reuse_policy=id_reuse_policy,
            id_conflict_policy=id_conflict_policy,
            retry_policy=retry_policy,
            cron_schedule=cron_schedule,
            memo=memo,
            search_attributes=search_attributes,
            static_summary=static_summary,
            static_details=static_details,
            start_delay=start_delay,
            start_signal=start_signal,
            start_signal_args=start_signal_args,
            rpc_metadata=rpc_metadata,
            rpc_timeout=rpc_timeout,
            request_eager_start=request_eager_start,
            priority=priority,
            versioning_override=versioning_override,
            stack_level=3,
        )
        return await handle.result()

    def get_workflow_handle(
        self,
        workflow_id: str,
        *,
        run_id: str | None = None,
        first_execution_run_id: str | None = None,
        result_type: type | None = None,
    ) -> WorkflowHandle[Any, Any]:
        """Makes a handle to a workflow there is; asks nobody whether it is.

        Args:
            workflow_id: Its id.
            run_id: The run that all calls but ``cancel`` and ``terminate`` are about; the latest if None.
            first_execution_run_id: The first run of the chain that ``cancel`` and ``terminate`` are about.
            result_type: The type of its result.
        """
        from temporalio.client._workflow import WorkflowHandle

        return WorkflowHandle(
            self,
            workflow_id,
            run_id=run_id,
            result_run_id=run_id,
            first_execution_run_id=first_execution_run_id,
            result_type=result_type,
        )

    def get_workflow_handle_for(
        self,
        workflow: MethodAsyncNoParam[SelfType, ReturnType] | MethodAsyncSingleParam[SelfType, Any, ReturnType],
        workflow_id: str,
        *,
        run_id: str | None = None,
        first_execution_run_id: str | None = None,
    ) -> WorkflowHandle[SelfType, ReturnType]:
        """As :py:meth:`get_workflow_handle`, with the types of a workflow's run method.

        Args:
            workflow: The run method; only its types are used.
            workflow_id: The workflow's id.
            run_id: As there.
            first_execution_run_id: As there.
        """
        from temporalio.workflow import _Definition

        definition = _Definition.must_from_run_fn(workflow)
        return self.get_workflow_handle(
            workflow_id,
            run_id=run_id,
            first_execution_run_id=first_execution_run_id,
            result_type=definition.ret_type,
        )

    @overload
    async def execute_update_with_start_workflow(
        self,
        update: temporalio.workflow.UpdateMethodMultiParam[[SelfType], LocalReturnType],
        *,
        start_workflow_operation: WithStartWorkflowOperation[SelfType, Any],
        **options: Unpack[UpdateOptions],
    ) -> LocalReturnType: ...

    @overload
    async def execute_update_with_start_workflow(
        self,
        update: temporalio.workflow.UpdateMethodMultiParam[[SelfType, ParamType], LocalReturnType],
        arg: ParamType,
        *,
        start_workflow_operation: WithStartWorkflowOperation[SelfType, Any],
        **options: Unpack[UpdateOptions],
    ) -> LocalReturnType: ...

    @overload
    async def execute_update_with_start_workflow(
        self,
        update: temporalio.workflow.UpdateMethodMultiParam[MultiParamSpec, LocalReturnType],
        *,
        args: MultiParamSpec.args,  # type: ignore[valid-type]
        start_workflow_operation: WithStartWorkflowOperation[SelfType, Any],
        **options: Unpack[UpdateOptions],
    ) -> LocalReturnType: ...

    @overload
    async def execute_update_with_start_workflow(
        self,
        update: str,
        arg: Any = temporalio.common._arg_unset,
        *,
        start_workflow_operation: WithStartWorkflowOperation[Any, Any],
        args: Sequence[Any] = [],
        result_type: type | None = None,
        **options: Unpack[UpdateOptions],
    ) -> Any: ...

    async def execute_update_with_start_workflow(
        self,
        update: str | Callable,
        arg: Any = temporalio.common._arg_unset,
        *,
        start_workflow_operation: WithStartWorkflowOperation[Any, Any],
        args: Sequence[Any] = [],
        id: str | None = None,
        result_type: type | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> Any:
        """Sends an update, starting its workflow if it does not run, and waits for the update's result.

        Args:
            update: The workflow's update method, or the update's name.
            arg: The argument, for an update of one.
            start_workflow_operation: What to start; it can be used for one call only.
            args: The arguments, for one of several; not together with ``arg``.
            id: The update's id, a new one if None. The same id means the same update.
            result_type: The type of the result, where the update is given by name.
            rpc_metadata: Headers for these calls.
            rpc_timeout: How long to wait for each call.

        Returns:
            The update's result.

        Raises:
            WorkflowUpdateFailedError: The update was refused or failed.
            RPCError: The server refused, the start for instance.
        """
        from temporalio.client._update import WorkflowUpdateStage

        handle = await self._start_update_with_start(
            update,
            arg,
            args=args,
            start_workflow_operation=start_workflow_operation,
            wait_for_stage=WorkflowUpdateStage.COMPLETED,
            id=id,
            result_type=result_type,
            rpc_metadata=rpc_metadata,
            rpc_timeout=rpc_timeout,
        )
        return await handle.result(rpc_metadata=rpc_metadata, rpc_timeout=rpc_timeout)

    @overload
    async def start_update_with_start_workflow(
        self,
        update: temporalio.workflow.UpdateMethodMultiParam[[SelfType], LocalReturnType],
        *,
        start_workflow_operation: WithStartWorkflowOperation[SelfType, Any],
        wait_for_stage: WorkflowUpdateStage,
        **options: Unpack[UpdateOptions],
    ) -> WorkflowUpdateHandle[LocalReturnType]: ...

    @overload
    async def start_update_with_start_workflow(
        self,
        update: temporalio.workflow.UpdateMethodMultiParam[[SelfType, ParamType], LocalReturnType],
        arg: ParamType,
        *,
        start_workflow_operation: WithStartWorkflowOperation[SelfType, Any],
        wait_for_stage: WorkflowUpdateStage,
        **options: Unpack[UpdateOptions],
    ) -> WorkflowUpdateHandle[LocalReturnType]: ...

    @overload
    async def start_update_with_start_workflow(
        self,
        update: temporalio.workflow.UpdateMethodMultiParam[MultiParamSpec, LocalReturnType],
        *,
        args: MultiParamSpec.args,  # type: ignore[valid-type]
        start_workflow_operation: WithStartWorkflowOperation[SelfType, Any],
        wait_for_stage: WorkflowUpdateStage,
        **options: Unpack[UpdateOptions],
    ) -> WorkflowUpdateHandle[LocalReturnType]: ...

    @overload
    async def start_update_with_start_workflow(
        self,
        update: str,
        arg: Any = temporalio.common._arg_unset,
        *,
        start_workflow_operation: WithStartWorkflowOperation[Any, Any],
        wait_for_stage: WorkflowUpdateStage,
        args: Sequence[Any] = [],
        result_type: type | None = None,
        **options: Unpack[UpdateOptions],
    ) -> WorkflowUpdateHandle[Any]: ...

    async def start_update_with_start_workflow(
        self,
        update: str | Callable,
        arg: Any = temporalio.common._arg_unset,
        *,
        start_workflow_operation: WithStartWorkflowOperation[Any, Any],
        wait_for_stage: WorkflowUpdateStage,
        args: Sequence[Any] = [],
        id: str | None = None,
        result_type: type | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> WorkflowUpdateHandle[Any]:
        """Sends an update, starting its workflow if it does not run, and waits until the update has come so far.

        Args:
            update: The workflow's update method, or the update's name.
            arg: The argument, for an update of one.
            start_workflow_operation: What to start; it can be used for one call only.
            wait_for_stage: How far; ADMITTED cannot be waited for.
            args: The arguments, for one of several; not together with ``arg``.
            id: The update's id, a new one if None. The same id means the same update.
            result_type: The type of the result, where the update is given by name.
            rpc_metadata: Headers for these calls.
            rpc_timeout: How long to wait for each call.

        Returns:
            A handle to the update.
        """
        return await self._start_update_with_start(
            update,
            arg,
            args=args,
            start_workflow_operation=start_workflow_operation,
            wait_for_stage=wait_for_stage,
            id=id,
            result_type=result_type,
            rpc_metadata=rpc_metadata,
            rpc_timeout=rpc_timeout,
        )

    async def _start_update_with_start(
        self,
        update: str | Callable,
        arg: Any,
        *,
        args: Sequence[Any],
        start_workflow_operation: WithStartWorkflowOperation[Any, Any],
        wait_for_stage: WorkflowUpdateStage,
        id: str | None,
        result_type: type | None,
        rpc_metadata: Mapping[str, str | bytes],
        rpc_timeout: timedelta | None,
    ) -> WorkflowUpdateHandle[Any]:
        from temporalio.client._update import start_update_with_start

        return await start_update_with_start(
            self,
            update,
            temporalio.common._arg_or_args(arg, args),
            start_workflow_operation,
            wait_for_stage=wait_for_stage,
            update_id=id,
            result_type=result_type,
            rpc_metadata=rpc_metadata,
            rpc_timeout=rpc_timeout,
        )

    def list_workflows(
        self,
        query: str | None = None,
        *,
        limit: int | None = None,
        page_size: int = 1000,
        next_page_token: bytes | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> WorkflowExecutionAsyncIterator:
        """Lists workflows. Nothing is asked before the first step of the iterator.

        Args:
            query: A list filter; all workflows if None.
            limit: How many to give at most.
            page_size: How many to ask for at a time.
            next_page_token: Where to go on, of an earlier iterator.
            rpc_metadata: Headers for each call.
            rpc_timeout: How long to wait for each call.
        """
        from temporalio.client._interceptor import ListWorkflowsInput

        return self._impl.list_workflows(
            ListWorkflowsInput(
                query=query,
                page_size=page_size,
                next_page_token=next_page_token,
                rpc_metadata=rpc_metadata,
                rpc_timeout=rpc_timeout,
                limit=limit,
            )
        )

    async def count_workflows(
        self,
        query: str | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> WorkflowExecutionCount:
        """Counts workflows, in groups if the filter says so.

        Args:
            query: A list filter; all workflows if None.
            rpc_metadata: Headers for this call.
            rpc_timeout: How long to wait for this call.
        """
        from temporalio.client._interceptor import CountWorkflowsInput

        return await self._impl.count_workflows(
            CountWorkflowsInput(query=query, rpc_metadata=rpc_metadata, rpc_timeout=rpc_timeout)
        )


def _through_plugin(
    plugin: Plugin, next: Callable[[ConnectConfig], Awaitable[ServiceClient]]
) -> Callable[[ConnectConfig], Awaitable[ServiceClient]]:
    async def connect(config: ConnectConfig) -> ServiceClient:
        return await plugin.connect_service_client(config, next)

    return connect
