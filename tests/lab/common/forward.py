"""Lets a browser on the machine reach a portal inside the lab's network namespace: TCP here to a unix socket, and on
from the unix socket to TCP there. Socket files are seen from every network namespace."""

import asyncio
import os
import threading


async def _pipe(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except (ConnectionError, asyncio.CancelledError):
        pass
    finally:
        writer.close()


def _joined(connect):
    async def serve(reader, writer):
        try:
            far_reader, far_writer = await connect()
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pipe(reader, far_writer), _pipe(far_reader, writer))
    return serve


async def outside(address, port, path):
    """Serves `address:port`; returns once that is bound."""
    return await asyncio.start_server(_joined(lambda: asyncio.open_unix_connection(path)), address, port)


async def within(path, address, port):
    if os.path.exists(path):
        os.unlink(path)
    return await asyncio.start_unix_server(_joined(lambda: asyncio.open_connection(address, port)), path)


def in_background(makers):
    """Runs servers in a thread of their own; returns once they listen."""
    listening = threading.Event()
    failed = []

    async def main():
        try:
            servers = [await make for make in makers]
        except OSError as error:
            failed.append(error)
            return
        finally:
            listening.set()
        await asyncio.gather(*(server.serve_forever() for server in servers))

    threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
    listening.wait()
    if failed:
        raise failed[0]
