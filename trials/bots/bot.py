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
            problem = answer.json()["code"]  # Without it, this is an answer of something between.
            if answer.status_code == 401:
                login = call("POST", "/v1/sessions", {"name": "pinger"})
                session.headers["Authorization"] = f"Bearer {login['token']}"
                continue
            if answer.status_code < 500 and answer.status_code not in (408, 429):
                sys.exit(f"{problem}: {answer.text}")  # A mistake in this program.
        except (requests.RequestException, LookupError, TypeError) as error:
            print(f"{servers[0]}: {error!r}", file=sys.stderr)  # No server, or no answer of one.
        time.sleep(0.5)  # Also where it has too much to do, or is behind.
        servers.append(servers.pop(0))

def react(message, cursor):
    if message["text"].startswith("!ping"):
        key = hashlib.sha256(f"pinger {message['id']}".encode()).hexdigest()
        answer = {"text": f"pong {message['id']}", "seen": [cursor]}
        call("POST", f"{group}/messages?at_least={joined}", answer, **{"Idempotency-Key": key})

joined = call("PUT", f"{group}/members/me")["cursor"]
cursor = state.read_text() if state.exists() else joined
while True:
    pathlib.Path(f"{state}.new").write_text(cursor)  # Only now: what came before it is answered.
    os.replace(f"{state}.new", state)
    page = call("GET", f"{group}/changes?wait_ms=20000&at_least={joined}&cursor={cursor}")
    cursor = page["cursor"]
    for change in page["events"]:
        if change["event"] == "message":
            react(change["data"], change["cursor"])
        elif change["event"] == "reset":  # The cursor is of no use any more: everything anew.
            older = call("GET", f"{group}/messages?limit=500&at_least={joined}")
            cursor = older["cursor"]
            while older["messages"]:
                for message in older["messages"]:
                    react(message, cursor)
                place = f"before={older['messages'][0]['id']}&at_least={cursor}"
                older = call("GET", f"{group}/messages?limit=500&{place}")
