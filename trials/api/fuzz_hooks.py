"""What schemathesis cannot know from the document: a token, which texts are names, cursors that are
cursors, and how many replicas there are."""

import json
import unicodedata
import urllib.request

import schemathesis

REPLICAS = 3


def call(base, method, path, body=None, token=""):
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(base + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@schemathesis.auth()
class Login:
    def get(self, case, context):
        base = case.operation.schema.config.base_url or case.operation.base_url
        return call(base, "POST", "/v1/sessions", {"name": "fuzz"})["token"]

    def set(self, case, data, context):
        case.headers = case.headers or {}
        case.headers["Authorization"] = f"Bearer {data}"


def is_name(text):
    """Whether the server surely takes it: what a pattern without classes of Unicode cannot say.
    Names in two scripts, and with invisible characters, are left to what is sent as wrong."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    is_id = len(folded) == 32 and all(letter in "0123456789abcdef" for letter in folded)
    scripts = {unicodedata.name(letter, "?").split()[0] for letter in folded if is_letter(letter)}
    return (
        0 < len(folded) <= 32
        and not is_id
        and len(scripts) <= 1
        and (is_letter(folded[0]) or folded[0] in "0123456789")
        and all(is_letter(letter) or letter in "-_.0123456789" for letter in folded)
    )


def is_letter(letter):
    return unicodedata.category(letter) in ("Lu", "Ll", "Lt", "Lm", "Lo")


def is_seen(text):
    """Whether a text holds anything that a reader sees."""
    return any(
        unicodedata.category(letter) not in ("Cf", "Cc", "Zs", "Zl", "Zp", "Mn", "Cn", "Co")
        and letter not in "\u2800\u3164\u115f\u1160\uffa0"
        for letter in text
    )


def is_positive(case):
    return case.meta is None or case.meta.generation.mode.is_positive


def whole(query, name):
    """A number that an earlier example may have made a text of; nothing where it is none."""
    try:
        return int(query[name])
    except (KeyError, TypeError, ValueError):
        return None


@schemathesis.hook
def before_call(context, case, kwargs):
    """Makes right what is right by the document alone."""
    if not is_positive(case):
        return
    path, query, body = case.path_parameters or {}, case.query or {}, case.body
    if "group" in path and not is_name(str(path["group"])):
        path["group"] = "fuzz"
    for name in ("cursor", "at_least"):
        query.pop(name, None)
    if "after" in query and "/messages" not in case.operation.path and not is_name(str(query["after"])):
        query.pop("after")
    places = [name for name in ("before", "after", "around") if name in query]
    for name in places[1:] if "/messages" in case.operation.path else []:
        query.pop(name)
    for name, most in (("wait_for", REPLICAS), ("wait_ms", 50), ("timeout_ms", 50)):
        number = whole(query, name)
        if number is not None:
            query[name] = min(number, most)
    if isinstance(body, dict):
        body.pop("seen", None)
        if not is_name(str(body.get("name", "fuzz"))):
            body["name"] = "fuzz"
        if not is_seen(str(body.get("text", "fuzz"))):
            body["text"] = "fuzz"
