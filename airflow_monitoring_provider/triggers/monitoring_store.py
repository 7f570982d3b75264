"""Waits in the triggerer for what the store will say; all it knows is in its arguments, so it survives a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_monitoring_provider.exceptions import RetryableError, TerminalError


class MonitoringStoreTrigger(BaseTrigger):
    """Ask the store again and again until the answer is yes, or never can be.

    :param question: a name in :data:`~airflow_monitoring_provider.jobs.questions.QUESTIONS`.
    :param arguments: of the question, ready for JSON.
    :param poll_interval: seconds between questions.
    :param monitoring_store_conn_id: connection of type ``monitoring_store``.

    Its event is ``{"answer": …}``, or ``{"error": sentence}`` where waiting is in vain. A store that is away for a
    while is waited for.
    """

    def __init__(
        self,
        question: str,
        arguments: Mapping[str, Any],
        monitoring_store_conn_id: str,
        poll_interval: float = 60.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's own is without annotations
        self.question = question
        self.arguments = dict(arguments)
        self.monitoring_store_conn_id = monitoring_store_conn_id
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Everything another triggerer needs to go on."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "question": self.question,
                "arguments": self.arguments,
                "monitoring_store_conn_id": self.monitoring_store_conn_id,
                "poll_interval": self.poll_interval,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask until there is an answer."""
        while True:
            try:
                answer = await self._ask()
            except TerminalError as error:
                yield TriggerEvent({"error": str(error)})
                return
            except RetryableError as error:
                self.log.warning("The monitoring store is asked again later: %s", error)
                answer = None
            if answer is not None:
                yield TriggerEvent({"answer": answer})
                return
            await asyncio.sleep(self.poll_interval)

    async def _ask(self) -> dict[str, Any] | None:
        from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook
        from airflow_monitoring_provider.jobs.questions import QUESTIONS

        store = await MonitoringStoreHook(self.monitoring_store_conn_id).aget_reader()
        try:
            # The store blocks, and the triggerer's loop is everybody's.
            return await asyncio.to_thread(QUESTIONS[self.question], store, **self.arguments)
        finally:
            await asyncio.to_thread(store.close)
