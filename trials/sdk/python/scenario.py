"""One scenario through a client of openapi-python-client: what everybody's bot does."""

import os
from concurrent.futures import ThreadPoolExecutor

from causeway_client import AuthenticatedClient, Client
from causeway_client.api.groups import join_group, show_group
from causeway_client.api.messages import (
    like_message,
    list_messages,
    post_message,
    show_message,
)
from causeway_client.api.server import show_server, show_view
from causeway_client.api.sessions import log_in
from causeway_client.api.streams import list_changes
from causeway_client.models import (
    Login,
    Message,
    MessageChange,
    MessageDraft,
    MessagePage,
    Problem,
    Server,
    Session,
    Snapshot,
    View,
)

GROUP = "sdk-python"
REPLICAS = [os.environ[f"CAUSEWAY_{number}"] for number in (1, 2, 3)]


def logged_in(name: str) -> list[AuthenticatedClient]:
    session = log_in.sync(client=Client(base_url=REPLICAS[0]), body=Login(name=name))
    assert isinstance(session, Session), session
    return [
        AuthenticatedClient(base_url=url, token=session.token, timeout=None) for url in REPLICAS
    ]


def post(client: AuthenticatedClient, text: str, key: str, at_least: str) -> tuple[Message, int]:
    answer = post_message.sync_detailed(
        GROUP,
        client=client,
        body=MessageDraft(text=text),
        idempotency_key=key,
        at_least=at_least,
    )
    assert isinstance(answer.parsed, Message), answer.parsed
    return answer.parsed, int(answer.status_code)


def follow(client: AuthenticatedClient, cursor: str, text: str) -> Message:
    while True:
        page = list_changes.sync(GROUP, client=client, cursor=cursor, wait_ms=20_000)
        assert page is not None and not isinstance(page, Problem), page
        cursor = page.cursor
        for change in page.events:
            if isinstance(change, MessageChange) and change.data.text == text:
                return change.data


ann, bob = logged_in("ann-python"), logged_in("bob-python")
joined = join_group.sync_detailed(GROUP, client=ann[0])
assert isinstance(joined.parsed, Snapshot), joined
# Where a proxy strips the mark, the cursor does the same.
mark = joined.headers.get("Causeway-Mark", joined.parsed.cursor)

first, created = post(ann[0], "one", "key 1", mark)
again, _ = post(ann[1], "one", "key 1", mark)
assert created == 201 and again.id == first.id, (first, again)
second, _ = post(ann[0], "two", "key 2", mark)

newest = list_messages.sync(GROUP, client=ann[0], limit=1)
assert isinstance(newest, MessagePage) and newest.messages[0].id == second.id, newest
older = list_messages.sync(GROUP, client=ann[0], limit=1, before=second.id)
assert isinstance(older, MessagePage) and older.messages[0].id == first.id, older
assert not older.has_before

assert isinstance(join_group.sync(GROUP, client=bob[0]), Snapshot)
liked = like_message.sync_detailed(GROUP, first.id, client=bob[0])
assert isinstance(liked.parsed, Message) and liked.parsed.likes == 1, liked

# A typed error.
own = like_message.sync(GROUP, first.id, client=ann[0])
assert isinstance(own, Problem) and (own.code, own.status) == ("own_message", 409), own

# A code that is of a later version, where the server is.
missing = show_message.sync(GROUP, "nothing", client=ann[0])
assert isinstance(missing, Problem) and missing.status == 404 and missing.code, missing

# Where to fail over to, and what a replica knows of the others.
server = show_server.sync(client=Client(base_url=REPLICAS[0]))
assert isinstance(server, Server) and server.mode and len(server.public_urls) == 3, server
view = show_view.sync(client=ann[0])
assert isinstance(view, View) and all(peer.status and peer.out for peer in view.peers), view
assert all(alarm.kind for alarm in view.alarms), view

# Followed at the third replica, while the second one is killed.
snapshot = show_group.sync(GROUP, client=bob[0])
assert isinstance(snapshot, Snapshot), snapshot
like_mark = liked.headers.get("Causeway-Mark", snapshot.cursor)
snapshot = show_group.sync(GROUP, client=ann[2], at_least=like_mark)
assert isinstance(snapshot, Snapshot), snapshot
print("kill 2", flush=True)
input()
with ThreadPoolExecutor() as threads:
    polled = threads.submit(follow, ann[2], snapshot.cursor, "three")
    third, _ = post(ann[0], "three", "key 3", mark)
    assert polled.result().id == third.id
print("start 2", flush=True)
input()
