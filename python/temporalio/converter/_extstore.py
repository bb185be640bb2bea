"""External storage: payloads too large for a history are kept elsewhere, and a reference travels in their place."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from temporalio.converter._payload_converter import JSONPlainPayloadConverter, JSONProtoPayloadConverter

if TYPE_CHECKING:
    import dataclasses
    from dataclasses import dataclass

    from typing_extensions import Self

    from temporalio.api.common.v1 import Payload
else:
    import dataclasses

    from temporalio._lazy import dataclass

_T = TypeVar("_T")

# How references were written before they became messages; still read.
_REFERENCE_ENCODING = b"json/external-storage-reference"
_REFERENCE_MESSAGE_TYPE = b"temporal.api.sdk.v1.ExternalStorageReference"


@dataclass(frozen=True)
class StorageDriverClaim:
    """What a driver needs to find a payload again."""

    claim_data: Mapping[str, str]
    """Kept in the reference, in clear."""


@dataclass(frozen=True)
class StorageDriverWorkflowInfo:
    """The workflow a payload belongs to."""

    namespace: str = dataclasses.field(kw_only=True)
    id: str | None = dataclasses.field(kw_only=True, default=None)
    run_id: str | None = dataclasses.field(kw_only=True, default=None)
    type: str | None = dataclasses.field(kw_only=True, default=None)


@dataclass(frozen=True)
class StorageDriverActivityInfo:
    """The activity a payload belongs to."""

    namespace: str = dataclasses.field(kw_only=True)
    id: str | None = dataclasses.field(kw_only=True, default=None)
    run_id: str | None = dataclasses.field(kw_only=True, default=None)
    type: str | None = dataclasses.field(kw_only=True, default=None)


@dataclass(frozen=True)
class StorageDriverStoreContext:
    """What a driver may know when it stores."""

    target: StorageDriverActivityInfo | StorageDriverWorkflowInfo | None = None
    """Whose payloads these are; for those sent to a child or started workflow, the receiver."""


@dataclass(frozen=True)
class StorageDriverSelectContext:
    """What the choice of a driver may depend on."""

    target: StorageDriverActivityInfo | StorageDriverWorkflowInfo | None = None
    """Whose payload it is."""


@dataclass(frozen=True)
class StorageDriverRetrieveContext:
    """What a driver may know when it retrieves."""


class StorageDriver(ABC):
    """Keeps payloads somewhere and finds them again."""

    @abstractmethod
    def name(self) -> str:
        """The name that references carry; unique among the drivers of a client, and never to change."""
        ...

    def type(self) -> str:
        """What kind of driver this is, the same for all its instances; the class's name unless overridden."""
        return type(self).__name__

    @abstractmethod
    async def store(
        self,
        context: StorageDriverStoreContext,
        payloads: Sequence[Payload],
    ) -> list[StorageDriverClaim]:
        """Stores payloads.

        Args:
            context: Whose they are.
            payloads: The payloads, encoded already.

        Returns:
            A claim for each payload, in order.
        """
        ...

    @abstractmethod
    async def retrieve(
        self,
        context: StorageDriverRetrieveContext,
        claims: Sequence[StorageDriverClaim],
    ) -> list[Payload]:
        """Retrieves payloads.

        Args:
            context: Reserved.
            claims: What :py:meth:`store` gave.

        Returns:
            The payload of each claim, in order.
        """
        ...


class StorageWarning(RuntimeWarning):
    """Something about external storage looks wrong, but nothing is lost."""


@dataclass(frozen=True)
class _StorageReference:
    """A reference as it was written before it became a message."""

    driver_name: str
    driver_claim: StorageDriverClaim


_legacy_converter = JSONPlainPayloadConverter(encoding=_REFERENCE_ENCODING.decode())
_reference_converter = JSONProtoPayloadConverter()


class StorageOperationMetrics:
    """What the storage operations of one task came to."""

    def __init__(self) -> None:
        self.payload_count = 0
        self.total_size = 0
        self._spans: list[tuple[float, float]] = []
        self.driver_names: set[str] = set()

    def record(self, driver: str, count: int, size: int, began: float, ended: float) -> None:
        """Takes in one call of a driver; times from time.monotonic()."""
        self.payload_count += count
        self.total_size += size
        self.driver_names.add(driver)
        self._spans.append((began, ended))

    @property
    def total_seconds(self) -> float:
        """How long any call was under way; calls at the same time count once."""
        total, until = 0.0, float("-inf")
        for began, ended in sorted(self._spans):
            if ended > until:
                total += ended - max(began, until)
                until = ended
        return total

    @contextlib.contextmanager
    def track(self) -> Iterator[Self]:
        """Collects the operations of this context into these figures."""
        token = _current_storage_metrics.set(self)
        try:
            yield self
        finally:
            _current_storage_metrics.reset(token)


_current_storage_metrics: contextvars.ContextVar[StorageOperationMetrics | None] = contextvars.ContextVar(
    "_current_storage_metrics", default=None
)


@dataclass(frozen=True)
class ExternalStorage:
    """Which payloads are kept outside of histories, and where."""

    drivers: Sequence[StorageDriver]
    """The drivers: those that store and those that only retrieve what was stored before."""

    driver_selector: Callable[[StorageDriverSelectContext, Payload], StorageDriver | None] | None = None
    """Chooses the driver for a payload, None to leave it where it is. Needed with several drivers."""

    payload_size_threshold: int = 256 * 1024
    """Payloads of fewer bytes stay where they are."""

    _driver_map: dict[str, StorageDriver] = dataclasses.field(init=False, repr=False, compare=False)
    _store_context: StorageDriverStoreContext = dataclasses.field(
        init=False, repr=False, compare=False, default=StorageDriverStoreContext()
    )
    _select_context: StorageDriverSelectContext = dataclasses.field(
        init=False, repr=False, compare=False, default=StorageDriverSelectContext()
    )

    _reference_marker: ClassVar[str] = "external-storage-reference"

    def __post_init__(self) -> None:
        """Checks the drivers."""
        if self.payload_size_threshold < 0:
            raise ValueError("ExternalStorage.payload_size_threshold must be greater than or equal to zero.")
        by_name: dict[str, StorageDriver] = {}
        for driver in self.drivers:
            name = driver.name()
            if name in by_name:
                raise ValueError(
                    f"ExternalStorage.drivers contains multiple drivers with name '{name}'. "
                    "Each driver must have a unique name."
                )
            by_name[name] = driver
        if not by_name:
            raise ValueError("ExternalStorage.drivers is empty: external storage needs a driver.")
        if len(by_name) > 1 and self.driver_selector is None:
            raise ValueError("ExternalStorage.driver_selector must be specified if multiple drivers are registered.")
        object.__setattr__(self, "_driver_map", by_name)

    def _with_store_context(self, context: StorageDriverStoreContext) -> ExternalStorage:
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy.__dict__["_store_context"] = context
        copy.__dict__["_select_context"] = StorageDriverSelectContext(target=context.target)
        return copy

    def _select(self, payload: Payload) -> StorageDriver | None:
        if payload.ByteSize() < self.payload_size_threshold:
            return None
        if self.driver_selector is None:
            return self.drivers[0]
        driver = self.driver_selector(self._select_context, payload)
        if driver is not None and self._driver_map.get(driver.name()) is not driver:
            raise ValueError(f"Driver '{driver.name()}' was selected but is not one of ExternalStorage.drivers")
        return driver

    async def _store(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Exchanges the payloads to be kept outside for references, one call to each driver, all at once."""
        result = list(payloads)
        chosen: dict[str, list[int]] = {}
        for index, payload in enumerate(result):
            driver = self._select(payload)
            if driver is not None:
                chosen.setdefault(driver.name(), []).append(index)
        if not chosen:
            return result

        async def store(name: str, indexes: list[int]) -> None:
            driver, given = self._driver_map[name], [result[i] for i in indexes]
            sizes = [p.ByteSize() for p in given]
            began = time.monotonic()
            claims = await driver.store(self._store_context, given)
            _note(name, len(given), sum(sizes), began)
            if len(claims) != len(given):
                raise ValueError(f"Driver '{name}' returned {len(claims)} claims, expected {len(given)}")
            for index, size, claim in zip(indexes, sizes, claims, strict=True):
                result[index] = _make_reference(name, claim, size)

        await _gather_cancel_on_error([store(name, indexes) for name, indexes in chosen.items()])
        return result

    async def _retrieve(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Exchanges references for what they stand for, one call to each driver, all at once."""
        result = list(payloads)
        wanted: dict[str, list[tuple[int, StorageDriverClaim]]] = {}
        for index, payload in enumerate(result):
            reference = _read_reference(payload)
            if reference is None:
                continue
            if reference.driver_name not in self._driver_map:
                raise ValueError(f"A payload was stored by driver '{reference.driver_name}', which is not configured")
            wanted.setdefault(reference.driver_name, []).append((index, reference.driver_claim))
        if not wanted:
            return result

        async def retrieve(name: str, items: list[tuple[int, StorageDriverClaim]]) -> None:
            began = time.monotonic()
            found = await self._driver_map[name].retrieve(StorageDriverRetrieveContext(), [c for _, c in items])
            _note(name, len(found), sum(p.ByteSize() for p in found), began)
            if len(found) != len(items):
                raise ValueError(f"Driver '{name}' returned {len(found)} payloads, expected {len(items)}")
            for (index, _), payload in zip(items, found, strict=True):
                result[index] = payload

        await _gather_cancel_on_error([retrieve(name, items) for name, items in wanted.items()])
        return result


def _note(driver: str, count: int, size: int, began: float) -> None:
    metrics = _current_storage_metrics.get()
    if metrics is not None:
        metrics.record(driver, count, size, began, time.monotonic())


def _make_reference(driver_name: str, claim: StorageDriverClaim, size: int) -> Payload:
    from temporalio.api.sdk.v1 import ExternalStorageReference

    payload = _reference_converter.to_payload(
        ExternalStorageReference(driver_name=driver_name, claim_data=dict(claim.claim_data))
    )
    assert payload is not None
    payload.external_payloads.add().size_bytes = size
    return payload


def _read_reference(payload: Payload) -> _StorageReference | None:
    if not payload.external_payloads:
        return None
    encoding = payload.metadata.get("encoding")
    if encoding == _REFERENCE_ENCODING:
        return _legacy_converter.from_payload(payload, _StorageReference)
    if encoding == b"json/protobuf" and payload.metadata.get("messageType") == _REFERENCE_MESSAGE_TYPE:
        from temporalio.api.sdk.v1 import ExternalStorageReference

        reference = _reference_converter.from_payload(payload, ExternalStorageReference)
        return _StorageReference(reference.driver_name, StorageDriverClaim(dict(reference.claim_data)))
    return None


async def _gather_cancel_on_error(coroutines: Sequence[Coroutine[Any, Any, _T]]) -> list[_T]:
    """As asyncio.gather, but when one fails the others are cancelled and waited for."""
    tasks = [asyncio.ensure_future(c) for c in coroutines]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
