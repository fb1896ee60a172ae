"""Serve ``_site/`` on this machine only: ``python site/serve.py [PORT]`` (default 8000)."""

from __future__ import annotations

import functools
import gzip
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PACKED = {".html", ".css", ".js", ".json", ".svg"}


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files, the book's own page for what is not there, and prints no line per request."""

    def do_GET(self) -> None:
        """Send texts packed, as the hosts of web sites do, where the browser takes them so."""
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() else path
        takes = "gzip" in self.headers.get("Accept-Encoding", "")
        if not (takes and path.suffix in PACKED and path.is_file() and "Range" not in self.headers):
            super().do_GET()
            return
        body = gzip.compress(path.read_bytes(), 5)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer with 404.html, as the hosts of web sites do."""
        page = Path(self.directory) / "404.html"
        if code == 404 and page.is_file():
            self.error_message_format = page.read_text(encoding="utf-8").replace("%", "%%")
        super().send_error(code, message, explain)

    def log_message(self, *args: object) -> None:
        """Print nothing."""


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """Return a server of `folder` on the loopback address; port 0 takes any free one."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    return ThreadingHTTPServer(("127.0.0.1", port), handler)


def main() -> int:
    """Serve the built site until interrupted."""
    folder = Path(__file__).resolve().parent.parent / "_site"
    if not (folder / "index.html").is_file():
        print(f"There is no site in {folder}: run `make book` first.", file=sys.stderr)
        return 1
    with server(folder, int(sys.argv[1]) if len(sys.argv) > 1 else 8000) as httpd:
        print(f"The book is at http://127.0.0.1:{httpd.server_port}/ (stop with Ctrl-C).")
        try:
            httpd.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
