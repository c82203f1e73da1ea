"""A real HTTP file server with ranges on localhost, whose answers can be spoilt the way servers spoil them."""

import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


class FileServer(ThreadingHTTPServer):
    """Serves a folder; `spoil(path, number)` may name a fault for the n-th request of a path."""

    daemon_threads = True

    def __init__(self, root):
        super().__init__(("127.0.0.1", 0), Handler)
        self.root, self.spoil, self.asked, self.sent = Path(root), lambda path, number: None, [], 0
        self.counts, self.headers_seen, self.lock, self.made = {}, [], threading.Lock(), {}

    def handle_error(self, request, client_address):
        """Clients that go away are what is tested here."""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def stop(self):
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FileServer

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path).lstrip("/")
        with self.server.lock:
            number = self.server.counts[path] = self.server.counts.get(path, 0) + 1
            self.server.asked.append((path, self.headers.get("Range")))
            self.server.headers_seen.append((path, dict(self.headers)))
        fault = self.server.spoil(path, number)
        if isinstance(fault, int):
            return self.refuse(fault)
        if isinstance(fault, tuple):
            return self.refuse(fault[0], fault[1])
        if fault == "slow":
            time.sleep(1.8)
        body = self.server.made.get(path)
        file = self.server.root / path
        if body is None:
            if not file.is_file():
                return self.refuse(404)
            body = file.read_bytes()
        return self.give(body, fault)

    def refuse(self, status, headers=None):
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def give(self, body, fault):
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        first, last = 0, len(body) - 1
        if found:
            first, last = int(found[1]), min(int(found[2] or last), last)
        if first > last:
            return self.refuse(416)
        part = body[first : last + 1]
        self.send_response(206 if found else 200)
        if found:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(body)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if self.command == "HEAD":
            return None
        if fault == "cut":
            self.wfile.write(part[: len(part) // 2])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return None
        self.wfile.write(part)
        with self.server.lock:
            self.server.sent += len(part)
        return None


@contextmanager
def serving_apart(root):
    """Yield the address of a server in a process of its own: GDAL may hold this one while it asks for a file."""
    server = subprocess.Popen([sys.executable, "-P", __file__, str(root)], stdout=subprocess.PIPE, text=True)
    try:
        yield server.stdout.readline().strip()
    finally:
        server.kill()
        server.communicate()


@contextmanager
def serving(root):
    """Yield a running server of a folder."""
    server = FileServer(root)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(5)


if __name__ == "__main__":
    alone = FileServer(sys.argv[1])
    print(alone.url, flush=True)  # noqa: T201
    alone.serve_forever()
