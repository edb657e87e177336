"""A puppet on PyPI `websockets`: one JSON command a line on stdin, one JSON line on stdout for all that happens."""

import asyncio
import json
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake


def say(line):
    print(json.dumps(line), flush=True)


async def follow(socket):
    say({"open": {"protocol": socket.subprotocol}})
    try:
        async for data in socket:
            say({"message": json.loads(data)} if isinstance(data, str) else {"binary": len(data)})
    except ConnectionClosed:
        pass
    say({"closed": {"code": socket.close_code}})


async def open_socket(command):
    token = command["token"]
    if command["via"] == "protocol":
        options = {"subprotocols": ["tidings.v1", f"tidings.bearer.{token}"]}
    else:
        options = {"additional_headers": {"Authorization": f"Bearer {token}"}}
    return await connect(command["url"], compression=None, **options)


async def main():
    loop = asyncio.get_running_loop()
    socket = follower = None
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        match command["do"]:
            case "connect":
                try:
                    socket = await open_socket(command)
                except (InvalidHandshake, OSError) as error:
                    say({"failed": str(error)})
                    continue
                follower = asyncio.create_task(follow(socket))
            case "send":
                await socket.send(json.dumps(command["message"]))
            case "break":
                socket.transport.abort()
                await follower
            case "close":
                await socket.close(1000)
                await follower


asyncio.run(main())
