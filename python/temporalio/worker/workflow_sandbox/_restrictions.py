"""What workflow code may not touch: the rules, their defaults and the errors."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Optional

import temporalio.workflow
from temporalio._lazy import instance
from temporalio.exceptions import TemporalError
from temporalio.workflow import SandboxImportNotificationPolicy

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    from temporalio._lazy import dataclass


class RestrictedWorkflowAccessError(temporalio.workflow.NondeterminismError):
    """Workflow code used something that no replay could repeat."""

    def __init__(self, qualified_name: str, *, override_message: Optional[str] = None) -> None:
        super().__init__(override_message or RestrictedWorkflowAccessError.default_message(qualified_name))
        self.qualified_name = qualified_name

    @staticmethod
    def default_message(qualified_name: str) -> str:
        """What the error says unless a rule has a message of its own."""
        return (
            f"Cannot access {qualified_name} from inside a workflow. Do it in an activity, or use what "
            "temporalio.workflow has for it. If a module needs it that is known to behave the same on every run, "
            "import that module within `with workflow.unsafe.imports_passed_through():`"
        )


class UnintentionalPassthroughError(TemporalError):
    """An import brought a module into the sandbox that the policy wants to be named first."""

    def __init__(self, qualified_name: str) -> None:
        super().__init__(f"Module {qualified_name} was not intentionally passed through to the sandbox.")


class RestrictionContext:
    """Whether the workflow is being loaded or runs."""

    @staticmethod
    def unwrap_if_proxied(v: Any) -> Any:
        """What a guard stands for; anything else unchanged."""
        return getattr(type(v), "__temporal_guarded__", None) or vars_of_proxy(v)

    def __init__(self) -> None:
        self.is_runtime = False


def vars_of_proxy(v: Any) -> Any:
    """The object behind an object guard, else the value itself."""
    try:
        return object.__getattribute__(v, "__temporal_guarded_object__")
    except AttributeError:
        return v


@dataclass(frozen=True)
class SandboxMatcher:
    """A tree of names, each with what is matched there.

    In restrictions a match is a refusal. ``access`` refuses to let a member be had at all, ``use`` lets it be had and
    passed around but not called, indexed or asked for members of its own. ``"*"`` stands for every name.
    """

    access: set[str] = frozenset()  # type: ignore[assignment]
    """Members that must not be accessed."""
    use: set[str] = frozenset()  # type: ignore[assignment]
    """Members that must not be used."""
    children: Mapping[str, SandboxMatcher] = dataclasses.field(default_factory=dict)
    """Rules for members of members."""
    match_self: bool = False
    """Whether this very name is matched."""
    only_runtime: bool = False
    """Whether all this holds only when the workflow runs, not while its file is loaded."""
    leaf_message: str | None = None
    """Said in place of the usual message."""
    leaf_warning: type[Warning] | None = None
    """Warn with this category in place of refusing."""
    exclude: set[str] = frozenset()  # type: ignore[assignment]
    """Members that ``"*"`` does not stand for."""

    all: ClassVar[SandboxMatcher]
    """Matches whatever it is asked about."""
    all_runtime: ClassVar[SandboxMatcher]
    """The same, only at runtime."""
    all_uses: ClassVar[SandboxMatcher]
    """Matches every use of a member."""
    all_uses_runtime: ClassVar[SandboxMatcher]
    """The same, only at runtime."""
    none: ClassVar[SandboxMatcher]
    """Matches nothing."""

    def __post_init__(self) -> None:
        """Refuses names with dots, which are meant to be children."""
        for names in (self.access, self.use, self.children):
            for name in names:
                if "." in name and (names is not self.children):
                    raise ValueError(f"{name!r} has a dot in it: give the part before it a child matcher")

    @classmethod
    def nested_child(cls, path: Sequence[str], child: SandboxMatcher) -> SandboxMatcher:
        """A matcher that has ``child`` at the end of a path."""
        matcher = child
        for name in reversed(path):
            matcher = SandboxMatcher(children={name: matcher})
        return matcher

    def child_matcher(self, *child_path: str) -> Optional[SandboxMatcher]:
        """The matcher at a path below this one, if there is one."""
        matcher: Optional[SandboxMatcher] = self
        only_runtime = self.only_runtime
        for name in child_path:
            assert matcher is not None
            matcher = matcher.children.get(name)
            if matcher is None:
                return None
            only_runtime = only_runtime or matcher.only_runtime
        assert matcher is not None
        if only_runtime and not matcher.only_runtime:
            matcher = dataclasses.replace(matcher, only_runtime=True)
        return matcher

    def access_matcher(
        self, context: RestrictionContext, *child_path: str, include_use: bool = False
    ) -> Optional[SandboxMatcher]:
        """The matcher that refuses the access to a path, if one does."""
        matcher = self
        if not context.is_runtime and matcher.only_runtime:
            return None
        for name in child_path:
            if matcher._refuses_access(name) or (include_use and matcher._refuses_use(name)):
                return matcher
            child = matcher.children.get(name)
            if child is None:
                return None
            matcher = child
            if not context.is_runtime and matcher.only_runtime:
                return None
        return matcher if matcher.match_self else None

    def match_access(self, context: RestrictionContext, *child_path: str, include_use: bool = False) -> bool:
        """Whether the access to a path is refused."""
        return self.access_matcher(context, *child_path, include_use=include_use) is not None

    def _refuses_access(self, name: str) -> bool:
        """Whether the member must not be accessed."""
        return name in self.access or ("*" in self.access and name not in self.exclude)

    def _refuses_use(self, name: str) -> bool:
        """Whether the member must not be used."""
        return name in self.use or ("*" in self.use and name not in self.exclude)

    def with_child_unrestricted(self, *child_path: str) -> SandboxMatcher:
        """This matcher without what it says of one path."""
        if not child_path:
            raise ValueError("with_child_unrestricted needs a path")
        name, rest = child_path[0], child_path[1:]
        children = dict(self.children)
        if rest:
            if name in children:
                children[name] = children[name].with_child_unrestricted(*rest)
            return dataclasses.replace(self, children=children)
        children.pop(name, None)
        exclude = set(self.exclude)
        if "*" in self.access or "*" in self.use:
            exclude.add(name)
        return dataclasses.replace(
            self, access=set(self.access) - {name}, use=set(self.use) - {name}, children=children, exclude=exclude
        )

    def __or__(self, other: SandboxMatcher) -> SandboxMatcher:
        """What either of two matchers matches."""
        if self.only_runtime != other.only_runtime and (self != SandboxMatcher.none and other != SandboxMatcher.none):
            if self._says_something() and other._says_something():
                raise ValueError("matchers for runtime only and for always cannot be joined at the same place")
        children = dict(self.children)
        for name, child in other.children.items():
            children[name] = children[name] | child if name in children else child
        own = self if self._says_something() else other
        return SandboxMatcher(
            access=set(self.access) | set(other.access),
            use=set(self.use) | set(other.use),
            children=children,
            match_self=self.match_self or other.match_self,
            only_runtime=own.only_runtime,
            leaf_message=self.leaf_message if self.leaf_message is not None else other.leaf_message,
            leaf_warning=self.leaf_warning or other.leaf_warning,
            exclude=set(self.exclude) | set(other.exclude),
        )

    def _says_something(self) -> bool:
        return bool(self.access or self.use or self.match_self)


def _matcher(
    *,
    access: set[str] = frozenset(),  # type: ignore[assignment]
    use: set[str] = frozenset(),  # type: ignore[assignment]
    children: Optional[Mapping[str, SandboxMatcher]] = None,
    match_self: bool = False,
    only_runtime: bool = False,
    leaf_message: Optional[str] = None,
    leaf_warning: Optional[type[Warning]] = None,
    exclude: set[str] = frozenset(),  # type: ignore[assignment]
) -> SandboxMatcher:
    """A matcher for the rules below, made while the class is not finished yet."""
    return instance(
        SandboxMatcher,
        access=access,
        use=use,
        children={} if children is None else children,
        match_self=match_self,
        only_runtime=only_runtime,
        leaf_message=leaf_message,
        leaf_warning=leaf_warning,
        exclude=exclude,
    )


SandboxMatcher.none = _matcher()
SandboxMatcher.all = _matcher(match_self=True)
SandboxMatcher.all_runtime = _matcher(match_self=True, only_runtime=True)
SandboxMatcher.all_uses = _matcher(use={"*"})
SandboxMatcher.all_uses_runtime = _matcher(use={"*"}, only_runtime=True)


@dataclass(frozen=True)
class SandboxRestrictions:
    """What a sandbox passes through, refuses and says."""

    passthrough_modules: set[str]
    """Modules, with all below them, that are taken from outside instead of being loaded for each run."""
    invalid_modules: SandboxMatcher
    """Modules that must not be imported."""
    invalid_module_members: SandboxMatcher
    """Members of modules that must not be accessed or used; ``__builtins__`` stands for the built-in functions."""
    import_notification_policy: SandboxImportNotificationPolicy = SandboxImportNotificationPolicy.WARN_ON_DYNAMIC_IMPORT
    """What to say about imports."""
    passthrough_all_modules: bool = False
    """Whether everything is passed through, apart from the workflow's own file."""
    disable_lazy_sys_module_passthrough: bool = False
    """Whether ``sys.modules`` shows passed through modules only once they were imported inside."""

    default: ClassVar[SandboxRestrictions]
    """What a sandbox has unless told otherwise."""
    passthrough_modules_minimum: ClassVar[set[str]]
    """Without these nothing works."""
    passthrough_modules_with_temporal: ClassVar[set[str]]
    """The minimum, this package and what it shows of others."""
    passthrough_modules_maximum: ClassVar[set[str]]
    """The same and the standard library."""
    passthrough_modules_default: ClassVar[set[str]]
    """The maximum."""
    invalid_module_members_default: ClassVar[SandboxMatcher]
    """The rules of :attr:`default`."""

    def with_passthrough_modules(self, *modules: str) -> SandboxRestrictions:
        """These restrictions with more modules passed through."""
        return dataclasses.replace(self, passthrough_modules=set(self.passthrough_modules) | set(modules))

    def with_passthrough_all_modules(self) -> SandboxRestrictions:
        """These restrictions with all modules passed through."""
        return dataclasses.replace(self, passthrough_all_modules=True)

    def with_import_notification_policy(self, policy: SandboxImportNotificationPolicy) -> SandboxRestrictions:
        """These restrictions with another policy for what is said about imports."""
        return dataclasses.replace(self, import_notification_policy=policy)

    def _passes_through(self, name: str) -> bool:
        """Whether a module is taken from outside."""
        if self.passthrough_all_modules:
            return True
        modules = self.passthrough_modules
        while True:
            if name in modules:
                return True
            name, dot, _ = name.rpartition(".")
            if not dot:
                return False


_MINIMUM = {"__future__", "_abc", "_py_abc", "abc", "asyncio", "builtins", "contextvars", "inspect", "grpc", "importlib"}
_MINIMUM |= {"logging", "re", "threading", "time", "types", "typing", "warnings"}
_TEMPORAL = {
    "annotated_types",
    "google.protobuf",
    "grpc",
    "importlib_metadata",
    "nexusrpc",
    "pkg_resources",
    "pydantic",
    "pydantic_core",
    "temporalio",
    "temporalio.api",
    "temporalio.bridge.proto",
    "temporalio.bridge.temporal_sdk_bridge",
    "typing_extensions",
}
SandboxRestrictions.passthrough_modules_minimum = set(_MINIMUM)
SandboxRestrictions.passthrough_modules_with_temporal = _MINIMUM | _TEMPORAL
# The sandbox has a sys of its own
SandboxRestrictions.passthrough_modules_maximum = (_TEMPORAL | set(sys.stdlib_module_names)) - {"sys"}
SandboxRestrictions.passthrough_modules_default = SandboxRestrictions.passthrough_modules_maximum


def _uses(*names: str, only_runtime: bool = False) -> SandboxMatcher:
    return _matcher(use=set(names), only_runtime=only_runtime)


def _instead(name: str, better: str) -> SandboxMatcher:
    call = _matcher(
        match_self=True,
        leaf_message=f"{name}() is non-deterministic, use {better}() instead",
        leaf_warning=UserWarning,
    )
    return _matcher(children={"__call__": call})


_BREAKPOINT = (
    "breakpoint() in workflow code needs a Worker with debug_mode=True, or TEMPORAL_DEBUG in the environment: without, "
    "the sandbox keeps the debugger out and the workflow would be taken for deadlocked"
)

_PATH_USES = """
    chmod cwd exists expanduser glob group hardlink_to home is_block_device is_char_device is_dir is_fifo is_file is_mount
    is_socket is_symlink iterdir lchmod link_to lstat mkdir open owner read_bytes read_link read_text rename replace resolve
    rglob rmdir samefile stat symlink_to touch unlink write_bytes write_text
""".split()
_RANDOM_USES = """
    betavariate binomialvariate choice choices expovariate gammavariate gauss getrandbits getstate lognormvariate
    normalvariate paretovariate randbytes randint random randrange sample seed setstate shuffle triangular uniform
    vonmisesvariate weibullvariate
""".split()
_TIME_USES = """
    get_clock_info localtime monotonic monotonic_ns perf_counter perf_counter_ns process_time process_time_ns
    pthread_getcpuclockid sleep thread_time thread_time_ns time time_ns tzset
""".split()
_SECRETS_USES = "SystemRandom choice randbelow randbits token_bytes token_hex token_urlsafe".split()

_RULES: dict[str, SandboxMatcher] = {
    "__builtins__": _matcher(
        use={"input", "open"},
        only_runtime=True,
        children={"breakpoint": _matcher(match_self=True, only_runtime=True, leaf_message=_BREAKPOINT)},
    ),
    "asyncio": _matcher(
        children={
            "as_completed": _instead("asyncio.as_completed", "workflow.as_completed"),
            "wait": _instead("asyncio.wait", "workflow.wait"),
        }
    ),
    "bz2": _uses("open"),
    "concurrent": _matcher(children={"futures": SandboxMatcher.all_uses_runtime}),
    "datetime": _matcher(children={"date": _uses("today"), "datetime": _uses("now", "today", "utcnow")}),
    "gzip": _uses("open"),
    "http": _matcher(children={"client": SandboxMatcher.all_uses, "server": SandboxMatcher.all_uses}),
    "lzma": _uses("open"),
    "marshal": _uses("dump", "load"),
    "os": _matcher(
        use={"*"},
        access={"name"},
        only_runtime=True,
        # Asked for at a bad moment by the standard library itself
        exclude={"stat", "path"} if sys.version_info >= (3, 14) else {"stat"},
        children={} if sys.version_info >= (3, 14) else {"path": SandboxMatcher.all},
    ),
    "pathlib": _matcher(children={"Path": _uses(*_PATH_USES)}),
    "random": _uses(*_RANDOM_USES),
    "secrets": _uses(*_SECRETS_USES),
    "tarfile": _matcher(use={"open"}, children={"TarFile": _uses("extract", "extractall")}),
    "time": _uses(*_TIME_USES, only_runtime=True),
    "urllib": _matcher(children={"request": SandboxMatcher.all_uses}),
    "uuid": _uses("uuid1", "uuid4", "uuid7", only_runtime=True),
    "zipfile": _matcher(children={"ZipFile": _uses("extract", "extractall")}),
    "zoneinfo": _matcher(children={"ZoneInfo": _uses("clear_cache", "from_file", "reset_tzpath")}),
}
_ALWAYS = """
    curses dbm filecmp fileinput ftplib getopt getpass gettext glob imaplib locale poplib readline sched shelve shutil
    smtplib socketserver subprocess tempfile webbrowser xmlrpc
""".split()
_AT_RUNTIME = "mmap multiprocessing platform select selectors signal socket threading".split()
_RULES |= {name: SandboxMatcher.all_uses for name in _ALWAYS}
_RULES |= {name: SandboxMatcher.all_uses_runtime for name in _AT_RUNTIME}

SandboxRestrictions.invalid_module_members_default = _matcher(children=dict(sorted(_RULES.items())))
SandboxRestrictions.default = instance(
    SandboxRestrictions,
    passthrough_modules=SandboxRestrictions.passthrough_modules_default,
    invalid_modules=SandboxMatcher.none,
    invalid_module_members=SandboxRestrictions.invalid_module_members_default,
    import_notification_policy=SandboxImportNotificationPolicy.WARN_ON_DYNAMIC_IMPORT,
    passthrough_all_modules=False,
    disable_lazy_sys_module_passthrough=False,
)
