"""A client of a later version against a server of this one, which says what it does not have."""

import os

from causeway_client import AuthenticatedClient, Client
from causeway_client.api.groups import join_group
from causeway_client.api.messages import edit_message, list_messages, post_message
from causeway_client.api.sessions import log_in
from causeway_client.models import Login, Message, MessageDraft, Problem, Session, Snapshot

GROUP = "sdk-later"
REPLICA = os.environ["CAUSEWAY_1"]


def refused(answer: object, status: int, code: str, named: str) -> None:
    assert isinstance(answer, Problem), answer
    assert (answer.status, answer.code) == (status, code) and named in answer.detail, answer


refused(
    log_in.sync(client=Client(base_url=REPLICA), body=Login(name="ann", device="phone")),
    422, "invalid", "`device`: is not known here",
)
session = log_in.sync(client=Client(base_url=REPLICA), body=Login(name="ann"))
assert isinstance(session, Session), session
ann = AuthenticatedClient(base_url=REPLICA, token=session.token)
assert isinstance(join_group.sync(GROUP, client=ann), Snapshot)

draft = MessageDraft(text="hello", reply_to="a message")
refused(
    post_message.sync(GROUP, client=ann, body=draft),
    422, "invalid", "`reply_to`: is not known here",
)
refused(
    list_messages.sync(GROUP, client=ann, thread="a message"),
    422, "invalid", "`thread`: is not known here",
)
message = post_message.sync(GROUP, client=ann, body=MessageDraft(text="hello"))
assert isinstance(message, Message), message
refused(
    edit_message.sync(GROUP, message.id, client=ann, body=MessageDraft(text="hallo")),
    405, "method_not_allowed", "GET",
)
