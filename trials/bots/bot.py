"""Answers each `!ping` of a group once: bot.py SERVER[,SERVER...] GROUP STATE_FILE"""
import hashlib, os, pathlib, requests, sys, time

servers, group, state = sys.argv[1].split(","), f"/v1/groups/{sys.argv[2]}", pathlib.Path(sys.argv[3])
session = requests.Session()

def call(method, path, body=None, **headers):
    """Asks the servers in turn until one answers."""
    while True:
        try:
            answer = session.request(method, servers[0] + path, json=body, headers=headers, timeout=40)
            if answer.ok:
                return answer.json()
            if answer.status_code == 401:
                login = call("POST", "/v1/sessions", {"name": "pinger"})
                session.headers["Authorization"] = f"Bearer {login['token']}"
                continue
            if answer.status_code < 500 and answer.status_code != 429:
                sys.exit(answer.text)  # A mistake in this program.
        except requests.RequestException:
            pass  # No server, or no answer of one.
        time.sleep(0.5)  # Also where it has too much to do, or is behind.
        servers.append(servers.pop(0))

joined = call("PUT", f"{group}/members/me")["cursor"]
cursor = state.read_text() if state.exists() else joined
while True:
    state.with_suffix(".new").write_text(cursor)  # Only now: what came before it is answered.
    state.with_suffix(".new").replace(state)
    page = call("GET", f"{group}/changes?wait_ms=20000&at_least={joined}&cursor={cursor}")
    for change in page["events"]:
        if change["event"] == "message" and change["data"]["text"].startswith("!ping"):
            trigger = change["data"]["id"]
            key = hashlib.sha256(f"pinger {trigger}".encode()).hexdigest()
            answer = {"text": f"pong {trigger}", "seen": [change["cursor"]]}
            call("POST", f"{group}/messages?at_least={joined}", answer, **{"Idempotency-Key": key})
    cursor = page["cursor"]
