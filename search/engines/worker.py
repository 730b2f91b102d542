"""What a worker process of `ProcessEngine` runs: measures the jobs that it is sent, until its parent goes away."""

import os
import pickle
import queue
import signal
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any

from search.engines.base import Job, perform


def main() -> None:
    """Serves the connection whose file descriptor is the first argument of the command line."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupted parent ends its workers itself
    connection = Connection(int(sys.argv[1]))
    messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, messages), daemon=True).start()
    objectives: dict[int, Any] = {}
    while True:
        key, pickled, architecture = messages.get()
        if pickled is not None:
            try:
                objectives[key] = pickle.loads(pickled)
            except Exception as error:
                connection.send(("unusable", f"{type(error).__name__}: {error}"))
                continue
        connection.send(("began", None))
        outcome = perform(Job(architecture, objectives[key]))
        connection.send(("measured", (outcome.value, outcome.error, outcome.seconds)))


def _receive(connection: Connection, messages: "queue.SimpleQueue[Any]") -> None:
    """Passes messages on; ends this process when its parent has gone, even during a measurement."""
    while True:
        try:
            messages.put(connection.recv())
        except (EOFError, OSError):
            os._exit(0)


if __name__ == "__main__":
    main()
