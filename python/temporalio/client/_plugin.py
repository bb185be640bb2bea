"""Client plugins."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from temporalio.client._client import ClientConfig
    from temporalio.service import ConnectConfig, ServiceClient


class Plugin(ABC):
    """Changes how clients are made and connect. A worker made with the client takes those that are its plugins too."""

    def name(self) -> str:
        """The plugin's name, unless overridden that of its class with its module."""
        return f"{type(self).__module__}.{type(self).__qualname__}"

    @abstractmethod
    def configure_client(self, config: ClientConfig) -> ClientConfig:
        """Changes what a client is made with.

        Args:
            config: What it is to be made with so far.

        Returns:
            What it shall be made with; ``config`` itself may be changed.
        """

    @abstractmethod
    async def connect_service_client(
        self,
        config: ConnectConfig,
        next: Callable[[ConnectConfig], Awaitable[ServiceClient]],
    ) -> ServiceClient:
        """Takes part in connecting.

        Args:
            config: Where and how.
            next: The plugins after this one, the connecting itself at their end.

        Returns:
            The connection.
        """
