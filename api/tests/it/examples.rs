//! The examples of the API's document: there for everything, right, and they work.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use causeway_api::cursor::Cursors;
use causeway_api::keys::ClusterKeys;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Cluster, Frame, Replica, Schemas, User, passes};

#[tokio::test]
async fn everything_has_an_example_that_keeps_its_schema() {
    let spec = spec(&Replica::start().await).await;
    let schemas = Schemas::of(&spec);
    let mut without = Vec::new();
    let mut check = |place: String, example: &Value, schema: &Value| {
        if example.is_null() {
            without.push(place);
        } else if let Err(wrong) = schemas.check(example, schema) {
            panic!("{place}: {wrong}");
        }
    };

    for (name, header) in members(&spec["components"]["headers"]) {
        check(
            format!("header {name}"),
            &header["example"],
            &header["schema"],
        );
    }
    for (name, schema) in members(&spec["components"]["schemas"]) {
        for (property, schema) in members(&schema["properties"]) {
            let is_composed = schemas.resolved(schema)["properties"].is_object()
                || schema["items"].is_object()
                || schema["enum"].is_array();
            if !is_composed || schema.get("example").is_some() {
                check(format!("{name}.{property}"), &schema["example"], schema);
            }
        }
    }
    for (id, operation) in operations(&spec) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let place = format!("{id}: {}", parameter["name"]);
            check(place, &parameter["example"], &parameter["schema"]);
        }
        let mut bodies = vec![("body".to_owned(), &operation["requestBody"])];
        for (status, response) in members(&operation["responses"]) {
            bodies.push((status.clone(), schemas.resolved(response)));
        }
        for (what, body) in bodies {
            for (kind, content) in members(&body["content"]) {
                let place = format!("{id}: {what} {kind}");
                let several = members(&content["examples"]).map(|(_, it)| &it["value"]);
                for example in several.chain(content.get("example")) {
                    check(place.clone(), example, &content["schema"]);
                }
                if content.get("example").or(content.get("examples")).is_none() {
                    check(place, &Value::Null, &Value::Null);
                }
            }
        }
    }

    assert_eq!(without, Vec::<String>::new(), "these have no example");
}

#[tokio::test]
async fn the_examples_work_as_they_stand() {
    let replica = Replica::start().await;
    let spec = spec(&replica).await;
    let bob = replica.user("bob").await;
    let mut caller = Caller::of(&spec, replica.user("ann").await);
    caller.call("log_in", 201).await;
    let snapshot = caller.call("join_group", 200).await;
    caller.knows(&snapshot);
    caller
        .calls_with("post_message", &["wait_for", "timeout_ms"], 201)
        .await;
    let message = caller.call("post_message", 200).await;
    assert_eq!(message["text"], "Hello, world", "the second is the first");
    caller.knows(&message);
    for id in ["show_group", "show_message", "list_groups", "list_members"] {
        caller.call(id, 200).await;
    }
    for place in ["before", "after", "around"] {
        caller
            .calls_with("list_messages", &[place, "limit"], 200)
            .await;
    }
    caller.call("list_changes", 200).await;
    for id in ["show_view", "show_server"] {
        caller.call(id, 200).await;
    }
    bob.joins("lobby").await;
    caller.user = bob;
    caller.call("like_message", 200).await;
    caller.call("unlike_message", 200).await;
    caller.call("leave_group", 204).await;
    caller.call("log_out", 204).await;

    let mut called = caller.called;
    called.push("follow_group".into());
    for (id, _) in operations(&spec) {
        assert!(called.contains(&id), "{id} was not tried");
    }
}

#[tokio::test]
async fn frames_are_as_the_document_says() {
    let replica = Replica::start().await;
    let spec = spec(&replica).await;
    let schemas = Schemas::of(&spec);
    let ann = replica.member("ann", "lobby").await;
    let bob = replica.user("bob").await;
    let cursor = ann.snapshot("lobby").await["cursor"].clone();
    let mut stream = ann.listens("lobby").await;
    bob.joins("lobby").await;
    let other = bob.listens("lobby").await;
    let message = ann.says("lobby", "hi").await;
    bob.likes("lobby", &message["id"]).await.with(200);
    bob.unlikes("lobby", &message["id"]).await.with(200);
    drop(other);
    bob.leaves("lobby").await;

    let mut seen = BTreeSet::new();
    while ![
        "caught_up",
        "join",
        "message",
        "like",
        "unlike",
        "leave",
        "presence",
    ]
    .iter()
    .all(|event| seen.contains(*event))
    {
        seen.insert(described_event(&schemas, stream.next().await));
    }
    let cursor = cursor.as_str().expect("a text");
    let changes = described_changes(&schemas, &ann, cursor).await;
    assert_eq!(changes, ["join", "message", "like", "unlike", "leave"]);
}

#[tokio::test]
async fn frames_of_what_happens_between_replicas_are_as_the_document_says() {
    let cluster = Cluster::of(2).await;
    let schemas = Schemas::of(&spec(cluster.at(1)).await);
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let cursor = ann[1].snapshot("lobby").await["cursor"].clone();
    let cursor = cursor.as_str().expect("a text");
    let mut stream = ann[1].listens("lobby").await;
    stream.catches_up().await;
    cluster.cut(&[1], &[2]);
    ann[0].says("lobby", "early").await;
    ann[0].says_once("lobby", "once", "key").await.with(201);
    passes(Duration::from_secs(4)).await;
    ann[1].says_once("lobby", "once", "key").await.with(201);
    cluster.heal();

    let mut seen = BTreeSet::new();
    while !["merged", "moved", "stored", "view"]
        .iter()
        .all(|event| seen.contains(*event))
    {
        seen.insert(described_event(&schemas, stream.next().await));
    }

    let changes = described_changes(&schemas, &ann[1], cursor).await;
    assert!(changes.contains(&"moved".to_owned()), "{changes:?}");
}

#[tokio::test]
async fn frames_after_a_useless_cursor_are_as_the_document_says() {
    let replica = Replica::start().await;
    let schemas = Schemas::of(&spec(&replica).await);
    let ann = replica.member("ann", "lobby").await;
    let with = |key: &[u8]| Cursors::new(&ClusterKeys::new(key, None));
    let cursor = ann.snapshot("lobby").await["cursor"].clone();
    let cursor = with(replica.settings.key.as_bytes()).decode(cursor.as_str().expect("a text"));
    let useless = with(b"a key that this cluster never had").encode(&cursor.expect("a cursor"));

    let mut stream = ann.resumes("lobby", &useless).await;
    while described_event(&schemas, stream.next().await) != "reset" {}

    let changes = described_changes(&schemas, &ann, &useless).await;
    assert_eq!(changes, ["reset"]);
}

/// The event of a frame that is as the document says.
#[track_caller]
fn described_event(schemas: &Schemas, frame: Frame) -> String {
    let Frame { event, id, data } = frame;
    let mut frame = json!({ "event": event, "data": data });
    if let Some(id) = id {
        frame["id"] = id.into();
    }
    let checked = schemas.check(&frame, &json!({ "$ref": "#/components/schemas/Frame" }));
    assert_eq!(checked, Ok(()), "{frame}");
    event
}

/// The events after a cursor, in an answer that is as the document says.
async fn described_changes(schemas: &Schemas, user: &User, cursor: &str) -> Vec<String> {
    let path = format!("/v1/groups/lobby/changes?cursor={cursor}");
    let changes = user.get(&path).await.with(200);
    let checked = schemas.check(&changes, &json!({ "$ref": "#/components/schemas/Changes" }));
    assert_eq!(checked, Ok(()), "{changes}");
    let events = changes["events"].as_array().expect("a list").iter();
    events
        .map(|it| it["event"].as_str().expect("a text").into())
        .collect()
}

/// Somebody who calls operations with nothing but their examples.
struct Caller {
    spec: Value,
    schemas: Schemas,
    user: User,
    /// What stands for examples that are of another cluster: ids, cursors, places.
    real: BTreeMap<String, String>,
    called: Vec<String>,
}

impl Caller {
    fn of(spec: &Value, user: User) -> Self {
        Self {
            spec: spec.clone(),
            schemas: Schemas::of(spec),
            user,
            real: BTreeMap::new(),
            called: Vec::new(),
        }
    }

    /// Takes the ids and cursors of an answer for those of the examples.
    fn knows(&mut self, answer: &Value) {
        let schemas = &self.spec["components"]["schemas"];
        for (kind, field) in [
            ("Snapshot", "cursor"),
            ("Message", "id"),
            ("Message", "position"),
        ] {
            if let Some(real) = answer[field].as_str() {
                let example = schemas[kind]["properties"][field]["example"].as_str();
                self.real
                    .insert(example.expect("a text").to_owned(), real.to_owned());
            }
        }
    }

    fn real(&self, example: &Value) -> String {
        let text = example
            .as_str()
            .map_or_else(|| example.to_string(), String::from);
        self.real.get(&text).cloned().unwrap_or(text)
    }

    async fn call(&mut self, id: &str, status: u16) -> Value {
        self.calls_with(id, &["cursor", "limit", "joined", "wait_ms"], status)
            .await
    }

    /// Calls an operation with some of its query parameters; demands what the document promises.
    async fn calls_with(&mut self, id: &str, query: &[&str], status: u16) -> Value {
        let paths = members(&self.spec["paths"]);
        let mut found = paths.flat_map(|(path, methods)| {
            members(methods).map(move |(method, operation)| (path, method, operation))
        });
        let (path, method, operation) = found
            .find(|(_, _, operation)| operation["operationId"] == id)
            .expect("it is described");
        let method: Method = method.to_uppercase().parse().expect("a method");
        let parameters = operation["parameters"].as_array().expect("parameters");
        let mut path = path.clone();
        for parameter in parameters.iter().filter(|it| it["in"] == "path") {
            let name = parameter["name"].as_str().expect("a name");
            path = path.replace(&format!("{{{name}}}"), &self.real(&parameter["example"]));
        }
        let mut request = self.user.request(method, &path);
        for parameter in parameters {
            let name = parameter["name"].as_str().expect("a name");
            let example = self.real(&parameter["example"]);
            request = match parameter["in"].as_str() {
                Some("header") => request.header(name, example),
                Some("query") if query.contains(&name) => request.query(&[(name, example)]),
                _ => request,
            };
        }
        if let Some(body) = operation.pointer("/requestBody/content/application~1json/example") {
            request = request.json(body);
        }
        let answer = Answer::to(request).await.expect("an answer");
        let described = self
            .schemas
            .resolved(&operation["responses"][status.to_string()]);
        for (name, header) in members(&described["headers"]) {
            let given = answer.header(name).map(Value::from);
            // These say where a client stands, if the operator has set rates; `rate_limits` does.
            if given.is_none() && name.starts_with("RateLimit") {
                continue;
            }
            let given = given.unwrap_or_else(|| panic!("{id}: no header {name}"));
            let schema = &self.schemas.resolved(header)["schema"];
            assert_eq!(self.schemas.check(&given, schema), Ok(()), "{id}: {name}");
        }
        let body = answer.with(status);
        if status != 204 {
            let schema = &described["content"]["application/json"]["schema"];
            assert_eq!(self.schemas.check(&body, schema), Ok(()), "{id}: {body}");
        }
        self.called.push(id.to_owned());
        body
    }
}

async fn spec(replica: &Replica) -> Value {
    replica.door.get("/openapi.json").await.with(200)
}

fn operations(spec: &Value) -> Vec<(String, &Value)> {
    let paths = members(&spec["paths"]).flat_map(|(_, methods)| members(methods));
    let named = paths.map(|(_, operation)| {
        let id = operation["operationId"].as_str().expect("it has a name");
        (id.to_owned(), operation)
    });
    named.collect()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}
