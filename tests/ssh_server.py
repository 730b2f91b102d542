"""An SSH server on loopback for tests: runs commands as this user; can cut the connection at a line of their output.

    python ssh_server.py FOLDER     # writes host and user keys and `port` into FOLDER, serves until stdin closes

While FOLDER/cut holds a text, the first line of output that contains it is passed on and the connection ends.
"""

import asyncio
import os
import sys
from pathlib import Path

import asyncssh

FOLDER = Path(sys.argv[1])


async def pass_on(reader, writer, process):
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
        cut = FOLDER / "cut"
        if cut.exists() and cut.read_bytes() in line:
            cut.unlink()
            process.get_extra_info("connection").abort()
            return


async def feed(process, child):
    while data := await process.stdin.read(1 << 16):
        child.stdin.write(data)
        await child.stdin.drain()
    child.stdin.close()


async def handle(process):
    home = FOLDER / "home"
    home.mkdir(exist_ok=True)
    child = await asyncio.create_subprocess_shell(
        process.command,
        cwd=home,
        env=os.environ | {"HOME": str(home)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        feeding = asyncio.ensure_future(feed(process, child))
        await asyncio.gather(
            pass_on(child.stdout, process.stdout, process), pass_on(child.stderr, process.stderr, process)
        )
        feeding.cancel()
        process.exit(await child.wait())
    except (OSError, asyncssh.Error):  # the client has gone
        pass
    finally:
        if child.returncode is None:
            child.terminate()


async def main():
    user = asyncssh.generate_private_key("ssh-ed25519")
    user.write_private_key(FOLDER / "key")
    (FOLDER / "key").chmod(0o600)
    user.write_public_key(FOLDER / "authorized")
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        authorized_client_keys=str(FOLDER / "authorized"),
        process_factory=handle,
        encoding=None,
    )
    (FOLDER / "port.new").write_text(str(server.sockets[0].getsockname()[1]))
    (FOLDER / "port.new").rename(FOLDER / "port")
    await asyncio.get_event_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
