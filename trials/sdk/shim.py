"""A proxy in front of a replica that is what clients may meet one day.

newer       a server of a later version: every object has a field more, and whatever may gain values
            has one that this version does not know
event       the same, with an event that this version does not know
stripping   a proxy that lets no header through but those of the body
"""

import json
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OF_THE_BODY = ("content-type", "content-length")
NOT_PASSED_ON = ("connection", "transfer-encoding", "content-length", "date")


def of_a_later_version(value, kind):
    if isinstance(value, list):
        return [of_a_later_version(item, kind) for item in value]
    if not isinstance(value, dict):
        return value
    grown = {name: of_a_later_version(member, kind) for name, member in value.items()}
    if "status" in grown and "rtt_ms" in grown:
        grown.update(status="asleep", out="asleep")
    if "alarms" in grown:
        unknown = {"kind": "asleep", "replica": None, "origin": None, "detail": "Somebody sleeps."}
        grown["alarms"].append(unknown)
    if "api_level" in grown:
        grown.update(mode="asleep", api_level=grown["api_level"] + 1)
    # One code alone: by the others a scenario knows what was refused.
    if grown.get("code") == "not_found":
        grown.update(code="asleep", type="urn:causeway:problem:asleep")
    if "caught_up" in grown and kind == "event":
        unknown = {"event": "edited", "cursor": grown["cursor"], "data": {"version": "7"}}
        grown["events"].insert(0, unknown)
    return {**grown, "of_a_later_version": {"a": [1]}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0))) or None
        # A compressed answer could not be changed.
        left_out = ("host", "accept-encoding")
        headers = {name: value for name, value in self.headers.items() if name.lower() not in left_out}
        if self.server.kind == "stripping":
            # What clients send to be served at all; Last-Event-ID and the like are lost.
            kept = ("authorization", "content-type", "idempotency-key")
            headers = {name: value for name, value in headers.items() if name.lower() in kept}
        request = urllib.request.Request(self.server.to + self.path, body, headers, method=self.command)
        try:
            answer = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as refused:
            answer = refused
        except OSError:
            self.send_error(502)
            return
        with answer:
            given = answer.read()
        kind = answer.headers.get("content-type", "")
        is_later = self.server.kind in ("newer", "event")
        if is_later and kind.startswith("application/") and given:
            given = json.dumps(of_a_later_version(json.loads(given), self.server.kind)).encode()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            name = name.lower()
            is_kept = name in OF_THE_BODY or self.server.kind != "stripping"
            if is_kept and name not in NOT_PASSED_ON:
                self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(given)))
        self.end_headers()
        self.wfile.write(given)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, *_):
        pass


def in_front_of(url, kind):
    """Starts one; returns its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.to, server.kind, server.daemon_threads = url, kind, True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"
