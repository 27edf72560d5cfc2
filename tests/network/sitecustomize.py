"""Python runs this first in every process of a watched run: each address that it uses is written to a file."""

import os
import sys

if "WATCHED_ADDRESSES" in os.environ:
    _file = os.open(os.environ["WATCHED_ADDRESSES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    _asked = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
    _used = ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg")

    def _note(event, arguments):
        if event in _asked:
            os.write(_file, f"{event} {arguments[0]}\n".encode())
        elif event in _used and isinstance(arguments[1], tuple):  # of a Unix socket it is a path
            os.write(_file, f"{event} {arguments[1][0]}\n".encode())

    sys.addaudithook(_note)
