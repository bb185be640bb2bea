"""Build ids of workers: which may serve a task queue, and which may still get tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    from temporalio._lazy import dataclass


class BuildIdOp(ABC):
    """A change of the build ids of a task queue."""

    @abstractmethod
    def _as_partial_dict(self) -> dict[str, Any]:
        """The fields of the request that say what to change."""
        ...


@dataclass(frozen=True)
class BuildIdOpAddNewDefault(BuildIdOp):
    """A new set of this build id alone, which becomes the default."""

    build_id: str

    def _as_partial_dict(self) -> dict[str, Any]:
        return {"add_new_build_id_in_new_default_set": self.build_id}


@dataclass(frozen=True)
class BuildIdOpAddNewCompatible(BuildIdOp):
    """A new build id in the set of another, of which it becomes the default."""

    build_id: str
    """The new one."""

    existing_compatible_build_id: str
    """The other."""

    promote_set: bool = False
    """Whether the set becomes the queue's default."""

    def _as_partial_dict(self) -> dict[str, Any]:
        return {
            "add_new_compatible_build_id": {
                "new_build_id": self.build_id,
                "existing_compatible_build_id": self.existing_compatible_build_id,
                "make_set_default": self.promote_set,
            }
        }


@dataclass(frozen=True)
class BuildIdOpPromoteSetByBuildId(BuildIdOp):
    """The set of this build id becomes the queue's default."""

    build_id: str

    def _as_partial_dict(self) -> dict[str, Any]:
        return {"promote_set_by_build_id": self.build_id}


@dataclass(frozen=True)
class BuildIdOpPromoteBuildIdWithinSet(BuildIdOp):
    """This build id becomes the default of its set."""

    build_id: str

    def _as_partial_dict(self) -> dict[str, Any]:
        return {"promote_build_id_within_set": self.build_id}


@dataclass(frozen=True)
class BuildIdOpMergeSets(BuildIdOp):
    """Two sets become one."""

    primary_build_id: str
    """A build id of the set that stays, and whose default stays."""

    secondary_build_id: str
    """A build id of the set that is merged into it."""

    def _as_partial_dict(self) -> dict[str, Any]:
        return {
            "merge_sets": {
                "primary_set_build_id": self.primary_build_id,
                "secondary_set_build_id": self.secondary_build_id,
            }
        }


@dataclass(frozen=True)
class BuildIdVersionSet:
    """Build ids that are compatible with each other."""

    build_ids: Sequence[str]
    """The build ids, the default one last."""

    def default(self) -> str:
        """The default one."""
        return self.build_ids[-1]


@dataclass(frozen=True)
class WorkerBuildIdVersionSets:
    """The build ids of a task queue."""

    version_sets: Sequence[BuildIdVersionSet]
    """The sets, the default one last."""

    def default_set(self) -> BuildIdVersionSet:
        """The default set."""
        return self.version_sets[-1]

    def default_build_id(self) -> str:
        """The default build id of the default set."""
        return self.default_set().default()

    @staticmethod
    def _from_dict(reply: Mapping[str, Any]) -> WorkerBuildIdVersionSets:
        return WorkerBuildIdVersionSets(
            [BuildIdVersionSet(list(s.get("build_ids", ()))) for s in reply.get("major_version_sets", ())]
        )


class TaskReachabilityType(Enum):
    """Which workflows may give tasks to a build id. Values are those on the wire."""

    NEW_WORKFLOWS = 1
    EXISTING_WORKFLOWS = 2
    OPEN_WORKFLOWS = 3
    CLOSED_WORKFLOWS = 4


@dataclass(frozen=True)
class BuildIdReachability:
    """From where one build id may get tasks."""

    task_queue_reachability: Mapping[str, Sequence[TaskReachabilityType]]
    """By task queue, which workflows may; none for a queue the build id can be taken away from."""

    unretrieved_task_queues: frozenset[str]
    """Queues the server did not look at because they were too many; ask for them by name."""


@dataclass(frozen=True)
class WorkerTaskReachability:
    """From where build ids may get tasks."""

    build_id_reachability: Mapping[str, BuildIdReachability]
    """By build id."""

    @staticmethod
    def _from_dict(reply: Mapping[str, Any]) -> WorkerTaskReachability:
        found: dict[str, BuildIdReachability] = {}
        for of_build_id in reply.get("build_id_reachability", ()):
            queues: dict[str, Sequence[TaskReachabilityType]] = {}
            unretrieved: set[str] = set()
            for of_queue in of_build_id.get("task_queue_reachability", ()):
                kinds = of_queue.get("reachability", ())
                name = of_queue.get("task_queue", "")
                if list(kinds) == [0]:
                    unretrieved.add(name)
                else:
                    queues[name] = [TaskReachabilityType(k) for k in kinds]
            found[of_build_id.get("build_id", "")] = BuildIdReachability(queues, frozenset(unretrieved))
        return WorkerTaskReachability(found)
