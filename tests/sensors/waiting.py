"""A triggerer of one trigger: makes it of what was serialised, says that it waits, and prints the event."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys


async def main(path: str, arguments: dict[str, object]) -> None:
    module, _, name = path.rpartition(".")
    trigger = getattr(importlib.import_module(module), name)(**arguments)
    events = trigger.run()
    first = asyncio.ensure_future(anext(events))
    await asyncio.wait([first], timeout=0.5)
    print("waiting", flush=True)
    print(json.dumps((await first).payload), flush=True)


asyncio.run(main(*json.loads(sys.argv[1])))
