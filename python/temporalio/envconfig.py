"""Client options from files and environment variables, the same for all SDKs and the command line.

A file in TOML has profiles, each with an address, a namespace and so on. The one used is ``TEMPORAL_PROFILE``, else
``default``. Environment variables override what it says. The file is ``TEMPORAL_CONFIG_FILE``, else
``temporalio/temporal.toml`` in the user's configuration directory.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, cast

import temporalio.service

if TYPE_CHECKING:
    from dataclasses import dataclass, field

    from typing_extensions import Self
else:
    from dataclasses import field

    from temporalio._lazy import dataclass

DataSource: TypeAlias = Path | str | bytes
"""A file by its path, or its content."""

_DEFAULT_PROFILE = "default"


class ClientConfigTLSDict(TypedDict, total=False):
    """A :py:class:`ClientConfigTLS` as a dictionary."""

    disabled: bool | None
    server_name: str
    server_ca_cert: Mapping[str, str]
    client_cert: Mapping[str, str]
    client_key: Mapping[str, str]


class ClientConfigProfileDict(TypedDict, total=False):
    """A :py:class:`ClientConfigProfile` as a dictionary."""

    address: str
    namespace: str
    api_key: str
    tls: ClientConfigTLSDict
    grpc_meta: Mapping[str, str]


class ClientConnectConfig(TypedDict, total=False):
    """Arguments for :py:meth:`temporalio.client.Client.connect`."""

    target_host: str
    namespace: str
    api_key: str
    tls: bool | temporalio.service.TLSConfig
    rpc_metadata: Mapping[str, str]


def _source_to_dict(source: DataSource | None) -> Mapping[str, str] | None:
    if source is None:
        return None
    if isinstance(source, Path):
        return {"path": str(source)}
    return {"data": source if isinstance(source, str) else source.decode()}


def _source_from_dict(source: Mapping[str, str] | None) -> DataSource | None:
    if not source:
        return None
    if "path" in source and "data" in source:
        raise ValueError("A data source is either a path or data")
    if "path" in source:
        return Path(source["path"])
    return source.get("data")


def _read_source(source: DataSource | None) -> bytes | None:
    if source is None or isinstance(source, bytes):
        return source
    return source.read_bytes() if isinstance(source, Path) else source.encode()


@dataclass(frozen=True)
class ClientConfigTLS:
    """How a profile secures the connection."""

    disabled: bool | None = None
    """True for not at all; None leaves it to the rest of the profile."""
    server_name: str | None = None
    """The server's name, where it is not that of the address."""
    server_root_ca_cert: DataSource | None = None
    """Authorities that may vouch for the server."""
    client_cert: DataSource | None = None
    """The client's certificate."""
    client_private_key: DataSource | None = None
    """That certificate's key."""

    def to_dict(self) -> ClientConfigTLSDict:
        """As a dictionary fit for TOML."""
        values: dict[str, Any] = {
            "disabled": self.disabled,
            "server_name": self.server_name,
            "server_ca_cert": _source_to_dict(self.server_root_ca_cert),
            "client_cert": _source_to_dict(self.client_cert),
            "client_key": _source_to_dict(self.client_private_key),
        }
        return cast(ClientConfigTLSDict, {k: v for k, v in values.items() if v is not None})

    def to_connect_tls_config(self) -> bool | temporalio.service.TLSConfig:
        """The ``tls`` argument for connecting; reads files."""
        if self.disabled:
            return False
        return temporalio.service.TLSConfig(
            domain=self.server_name,
            server_root_ca_cert=_read_source(self.server_root_ca_cert),
            client_cert=_read_source(self.client_cert),
            client_private_key=_read_source(self.client_private_key),
        )

    @classmethod
    def from_dict(cls, d: ClientConfigTLSDict | None) -> Self | None:
        """From what :py:meth:`to_dict` gives; None from nothing."""
        if not d:
            return None
        return cls(
            disabled=d.get("disabled"),
            server_name=d.get("server_name"),
            server_root_ca_cert=_source_from_dict(d.get("server_ca_cert")),
            client_cert=_source_from_dict(d.get("client_cert")),
            client_private_key=_source_from_dict(d.get("client_key")),
        )


@dataclass(frozen=True)
class ClientConfigProfile:
    """One profile."""

    address: str | None = None
    """Host and port of the server."""
    namespace: str | None = None
    """The namespace."""
    api_key: str | None = None
    """The API key; turns TLS on."""
    tls: ClientConfigTLS | None = None
    """How to secure the connection."""
    grpc_meta: Mapping[str, str] = field(default_factory=dict)
    """Headers of each call."""

    @classmethod
    def from_dict(cls, d: ClientConfigProfileDict) -> Self:
        """From what :py:meth:`to_dict` gives."""
        return cls(
            address=d.get("address"),
            namespace=d.get("namespace"),
            api_key=d.get("api_key"),
            tls=ClientConfigTLS.from_dict(d.get("tls")),
            grpc_meta=d.get("grpc_meta") or {},
        )

    def to_dict(self) -> ClientConfigProfileDict:
        """As a dictionary fit for TOML."""
        values: dict[str, Any] = {
            "address": self.address,
            "namespace": self.namespace,
            "api_key": self.api_key,
            "tls": self.tls.to_dict() if self.tls is not None else None,
            "grpc_meta": dict(self.grpc_meta) or None,
        }
        return cast(ClientConfigProfileDict, {k: v for k, v in values.items() if v is not None})

    def to_client_connect_config(self) -> ClientConnectConfig:
        """Arguments for :py:meth:`temporalio.client.Client.connect`; what the profile does not say is left out."""
        config = ClientConnectConfig()
        if self.address:
            config["target_host"] = self.address
        if self.namespace is not None:
            config["namespace"] = self.namespace
        if self.api_key is not None:
            config["api_key"] = self.api_key
        if self.tls is not None:
            config["tls"] = self.tls.to_connect_tls_config()
        elif self.api_key is not None:
            config["tls"] = True
        if self.grpc_meta:
            config["rpc_metadata"] = self.grpc_meta
        return config

    @staticmethod
    def load(
        profile: str | None = None,
        *,
        config_source: DataSource | None = None,
        disable_file: bool = False,
        disable_env: bool = False,
        config_file_strict: bool = False,
        override_env_vars: Mapping[str, str] | None = None,
    ) -> ClientConfigProfile:
        """Reads a profile.

        Args:
            profile: Its name; what the environment says, else ``default``.
            config_source: The file or its content, instead of looking for it.
            disable_file: Whether to leave files alone.
            disable_env: Whether to leave environment variables alone.
            config_file_strict: Whether a key that means nothing is an error.
            override_env_vars: Variables to use instead of the process's.

        Raises:
            RuntimeError: There is no such profile, or something in it makes no sense.
        """
        if disable_file and disable_env:
            raise RuntimeError("Cannot disable both the file and the environment")
        env: Mapping[str, str] = os.environ if override_env_vars is None else override_env_vars
        name = profile or (None if disable_env else env.get("TEMPORAL_PROFILE")) or _DEFAULT_PROFILE
        values: dict[str, Any] = {}
        if not disable_file:
            profiles = _read_profiles(config_source, env, config_file_strict)
            if name in profiles:
                values = profiles[name]
            elif name != _DEFAULT_PROFILE:
                raise RuntimeError(f"Profile '{name}' not found")
        if not disable_env:
            _apply_env(values, env)
        return _profile_from_values(values)


@dataclass
class ClientConfig:
    """All profiles of a file."""

    profiles: Mapping[str, ClientConfigProfile]
    """The profiles by name."""

    def to_dict(self) -> Mapping[str, ClientConfigProfileDict]:
        """As a dictionary fit for TOML, by profile."""
        return {name: profile.to_dict() for name, profile in self.profiles.items()}

    @classmethod
    def from_dict(cls, d: Mapping[str, Mapping[str, Any]]) -> Self:
        """From what :py:meth:`to_dict` gives."""
        return cls(
            profiles={n: ClientConfigProfile.from_dict(cast(ClientConfigProfileDict, p)) for n, p in d.items()}
        )

    @staticmethod
    def load(
        *,
        config_source: DataSource | None = None,
        config_file_strict: bool = False,
        override_env_vars: Mapping[str, str] | None = None,
    ) -> ClientConfig:
        """Reads all profiles of a file, without what environment variables say.

        Args:
            config_source: The file or its content, instead of looking for it.
            config_file_strict: Whether a key that means nothing is an error.
            override_env_vars: Variables to use instead of the process's when looking for the file.

        Raises:
            RuntimeError: Something in it makes no sense.
        """
        env: Mapping[str, str] = os.environ if override_env_vars is None else override_env_vars
        profiles = _read_profiles(config_source, env, config_file_strict)
        return ClientConfig(profiles={name: _profile_from_values(values) for name, values in profiles.items()})

    @staticmethod
    def load_client_connect_config(
        profile: str | None = None,
        *,
        config_file: str | None = None,
        disable_file: bool = False,
        disable_env: bool = False,
        config_file_strict: bool = False,
        override_env_vars: Mapping[str, str] | None = None,
    ) -> ClientConnectConfig:
        """Reads a profile as arguments for :py:meth:`temporalio.client.Client.connect`.

        Args:
            profile: Its name; what the environment says, else ``default``.
            config_file: The file's path, instead of looking for it.
            disable_file: Whether to leave files alone.
            disable_env: Whether to leave environment variables alone.
            config_file_strict: Whether a key that means nothing is an error.
            override_env_vars: Variables to use instead of the process's.
        """
        return ClientConfigProfile.load(
            profile=profile,
            config_source=Path(config_file) if config_file and not disable_file else None,
            disable_file=disable_file,
            disable_env=disable_env,
            config_file_strict=config_file_strict,
            override_env_vars=override_env_vars,
        ).to_client_connect_config()


# --- files ------------------------------------------------------------------------------------------------------------

# Certificates and keys, each by a path or by data: the key in a file and the field of a profile.
_TLS_SOURCES = {
    "client_cert": "client_cert",
    "client_key": "client_private_key",
    "server_ca_cert": "server_root_ca_cert",
}
_PROFILE_KEYS = {"address", "namespace", "api_key", "tls", "grpc_meta", "codec"}
_TLS_KEYS = {
    "disabled",
    "server_name",
    "disable_host_verification",
    *(f"{name}_{kind}" for name in _TLS_SOURCES for kind in ("path", "data")),
}


def _config_file(env: Mapping[str, str]) -> Path | None:
    """The file to read, if there is one."""
    named = env.get("TEMPORAL_CONFIG_FILE")
    if named:
        return Path(named)
    base = env.get("XDG_CONFIG_HOME")
    home = env.get("HOME") or os.path.expanduser("~")
    path = (Path(base) if base else Path(home) / ".config") / "temporalio" / "temporal.toml"
    return path if path.exists() else None


def _read_profiles(source: DataSource | None, env: Mapping[str, str], strict: bool) -> dict[str, dict[str, Any]]:
    if source is None:
        source = _config_file(env)
        if source is None:
            return {}
    try:
        data = _read_source(source)
    except FileNotFoundError:
        return {}
    assert data is not None
    parsed = _parse_toml(data.decode())
    if strict:
        _refuse_unknown(parsed, {"profile"})
    profiles: dict[str, dict[str, Any]] = parsed.get("profile", {})
    for values in profiles.values():
        if strict:
            _refuse_unknown(values, _PROFILE_KEYS)
            _refuse_unknown(values.get("tls", {}), _TLS_KEYS)
        if "grpc_meta" in values:
            values["grpc_meta"] = {_header_name(n): v for n, v in values["grpc_meta"].items()}
    return profiles


def _parse_toml(text: str) -> dict[str, Any]:
    try:
        import tomllib
    except ImportError:
        raise RuntimeError("Configuration files need Python 3.11 or newer; use environment variables") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise RuntimeError(f"TOML parse error: {err}") from err


def _refuse_unknown(values: Mapping[str, Any], known: set[str]) -> None:
    for name in values:
        if name not in known:
            raise RuntimeError(f"The configuration has an unknown field `{name}`")


def _header_name(name: str) -> str:
    return name.lower().replace("_", "-")


def _profile_from_values(values: Mapping[str, Any]) -> ClientConfigProfile:
    tls: ClientConfigTLS | None = None
    section = values.get("tls")
    if section is not None:
        sources: dict[str, DataSource] = {}
        for name, field_name in _TLS_SOURCES.items():
            path, data = section.get(f"{name}_path"), section.get(f"{name}_data")
            if path is not None and data is not None:
                raise RuntimeError(f"Cannot specify both {name}_path and {name}_data")
            if path is not None:
                sources[field_name] = Path(path)
            elif data is not None:
                sources[field_name] = data.encode()
        tls = ClientConfigTLS(
            disabled=section.get("disabled"),
            server_name=section.get("server_name"),
            server_root_ca_cert=sources.get("server_root_ca_cert"),
            client_cert=sources.get("client_cert"),
            client_private_key=sources.get("client_private_key"),
        )
    return ClientConfigProfile(
        address=values.get("address"),
        namespace=values.get("namespace"),
        api_key=values.get("api_key"),
        tls=tls,
        grpc_meta=values.get("grpc_meta", {}),
    )


# --- environment variables --------------------------------------------------------------------------------------------

_META_PREFIX = "TEMPORAL_GRPC_META_"


def _apply_env(values: dict[str, Any], env: Mapping[str, str]) -> None:
    """Overrides a profile's values by what variables say."""
    for name in ("address", "namespace", "api_key"):
        value = env.get(f"TEMPORAL_{name.upper()}")
        if value:
            values[name] = value
    _apply_tls_env(values, env)
    meta = dict(values.get("grpc_meta", {}))
    for name, value in env.items():
        if name.startswith(_META_PREFIX):
            header = _header_name(name[len(_META_PREFIX) :])
            if value:
                meta[header] = value
            else:
                meta.pop(header, None)
    values["grpc_meta"] = meta


def _apply_tls_env(values: dict[str, Any], env: Mapping[str, str]) -> None:
    section: dict[str, Any] = dict(values.get("tls") or {})
    switch = env.get("TEMPORAL_TLS")
    if switch:
        section["disabled"] = not _truth(switch, "TEMPORAL_TLS")
    server_name = env.get("TEMPORAL_TLS_SERVER_NAME")
    if server_name:
        section["server_name"] = server_name
    for name in _TLS_SOURCES:
        for kind, other in (("path", "data"), ("data", "path")):
            variable = f"TEMPORAL_TLS_{name.upper()}_{kind.upper()}"
            value = env.get(variable)
            if not value:
                continue
            if section.get(f"{name}_{other}") is not None:
                raise RuntimeError(f"Cannot specify cert {kind} via {variable} when cert {other} is already specified")
            section[f"{name}_{kind}"] = value
    if section or "tls" in values:
        values["tls"] = section


def _truth(text: str, variable: str) -> bool:
    lowered = text.lower()
    if lowered in ("true", "1", "yes", "on"):
        return True
    if lowered in ("false", "0", "no", "off"):
        return False
    raise RuntimeError(f"{variable} must be true or false, not {text!r}")
