"""Answers each `!ping` of a group once: bot.py SERVER[,SERVER...] GROUP STATE_FILE"""
import hashlib, http.client, json, os, sys, time, urllib.error, urllib.request

servers, group, state = sys.argv[1].split(","), f"/v1/groups/{sys.argv[2]}", sys.argv[3]
token = mark = None

def call(method, path, body=None, key=None):
    """Asks the servers in turn until one answers; returns the answer and its mark."""
    global token
    while True:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        headers |= {"Idempotency-Key": key} if key else {}
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(servers[0] + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=40) as answer:
                return json.load(answer), answer.headers["Causeway-Mark"]
        except urllib.error.HTTPError as refused:
            if refused.code == 401:
                token = call("POST", "/v1/sessions", {"name": "pinger"})[0]["token"]
            elif refused.code < 500 and refused.code != 429:
                raise SystemExit(refused.read().decode())  # A mistake in this program.
            else:  # Too much to do, behind, or a proxy without a server.
                time.sleep(1)
                servers.append(servers.pop(0))
        except (OSError, ValueError, http.client.HTTPException):  # No server, or no whole answer.
            time.sleep(0.2)
            servers.append(servers.pop(0))

def save(cursor):
    with open(state + ".new", "w") as file:
        file.write(cursor)
    os.replace(state + ".new", state)

snapshot, mark = call("PUT", f"{group}/members/me")
cursor = open(state).read() if os.path.exists(state) else snapshot["cursor"]
while True:
    save(cursor)  # Only now: what came before it is answered.
    page, _ = call("GET", f"{group}/changes?wait_ms=20000&at_least={mark}&cursor={cursor}")
    for change in page["events"]:
        if change["event"] == "message" and change["data"]["text"].startswith("!ping"):
            trigger = change["data"]["id"]
            key = hashlib.sha256(f"pinger {trigger}".encode()).hexdigest()
            answer = {"text": f"pong {trigger}", "seen": [change["cursor"]]}
            call("POST", f"{group}/messages?at_least={mark}", answer, key)
    cursor = page["cursor"]
