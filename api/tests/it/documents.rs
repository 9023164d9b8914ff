//! The documents about the API agree with the server.

use std::path::Path;

use serde_json::Value;

use crate::harness::{Replica, Schemas, run_to_its_end};

const CALLS: [(&str, &str); 16] = [
    ("post", "/v1/sessions"),
    ("delete", "/v1/sessions/current"),
    ("get", "/v1/groups"),
    ("put", "/v1/groups/{group}/members/me"),
    ("delete", "/v1/groups/{group}/members/me"),
    ("get", "/v1/groups/{group}"),
    ("get", "/v1/groups/{group}/members"),
    ("post", "/v1/groups/{group}/messages"),
    ("get", "/v1/groups/{group}/messages"),
    ("get", "/v1/groups/{group}/messages/{id}"),
    ("put", "/v1/groups/{group}/messages/{id}/likes/me"),
    ("delete", "/v1/groups/{group}/messages/{id}/likes/me"),
    ("get", "/v1/groups/{group}/events"),
    ("get", "/v1/groups/{group}/changes"),
    ("get", "/v1/view"),
    ("get", "/v1/server"),
];

#[test]
fn the_committed_specification_is_what_the_server_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi.yaml");
    let committed = std::fs::read_to_string(path).expect("openapi.yaml is in the repository");

    let output = run_to_its_end(&["openapi"], &[]);

    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).expect("a specification is text");
    assert!(
        printed == committed,
        "openapi.yaml differs: run `cargo run --bin causeway-server -- openapi > openapi.yaml`"
    );
}

#[tokio::test]
async fn the_specification_is_served_and_knows_every_call() {
    let replica = Replica::start().await;
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi.yaml");
    let committed = std::fs::read_to_string(committed).expect("openapi.yaml is in the repository");

    let yaml = replica.door.get("/openapi.yaml").await;
    let spec = replica.door.get("/openapi.json").await.with(200);

    assert_eq!(yaml.status, 200);
    let view = replica.user("ann").await.view().await;
    let url = view["self"]["public_url"].as_str().expect("a text");
    let own = format!("- url: {url}\n  description: This replica.\n");
    let (before, rest) = committed.split_once("servers:\n").expect("servers");
    let (_, after) = rest.split_once("\ntags:").expect("tags after them");
    let wanted = format!("{before}servers:\n{own}tags:{after}");
    assert!(yaml.body.trim_end() == wanted.trim_end(), "{}", yaml.body);
    assert_eq!(spec["servers"][0]["url"], url);
    for (method, path) in CALLS {
        let parameter_names_aside = |path: &str| {
            let parts = path
                .split('/')
                .map(|part| if part.starts_with('{') { "{}" } else { part });
            parts.collect::<Vec<_>>().join("/")
        };
        let paths = spec["paths"].as_object().expect("paths");
        let known = paths.iter().any(|(known, operations)| {
            parameter_names_aside(known) == parameter_names_aside(path)
                && operations.get(method).is_some()
        });
        assert!(known, "{method} {path} is not described");
    }
}

#[tokio::test]
async fn a_replica_serves_the_bounds_of_its_own_settings() {
    let mut replica = Replica::prepare().await;
    replica.settings.more = "limits.max_text_chars = 5000\n".into();
    replica.restart().await;

    let spec = replica.door.get("/openapi.json").await.with(200);

    let schemas = &spec["components"]["schemas"];
    let length = |schema: &str| schemas[schema]["properties"]["text"]["maxLength"].clone();
    assert_eq!(length("MessageDraft"), 5000);
    // A peer may be set to more, and its messages are shown here too.
    assert_eq!(length("Message"), Value::Null);
}

#[tokio::test]
async fn every_call_describes_its_refusals() {
    let replica = Replica::start().await;

    let spec = replica.door.get("/openapi.json").await.with(200);
    let schemas = Schemas::of(&spec);

    for (path, operations) in spec["paths"].as_object().expect("paths") {
        if !path.starts_with("/v1/groups") {
            continue;
        }
        for (method, operation) in operations.as_object().expect("operations") {
            let responses = operation["responses"].as_object().expect("responses");
            for status in ["401", "422"] {
                let response = responses.get(status).map(|it| schemas.resolved(it));
                let content = response.map(|it| &it["content"]);
                let is_problem =
                    content.is_some_and(|it| it.to_string().contains("application/problem+json"));
                assert!(is_problem, "{method} {path} says nothing of {status}");
            }
            assert!(
                operation["operationId"].is_string(),
                "{method} {path} has no name"
            );
            let said = [&operation["summary"], &operation["description"]];
            assert!(
                said.iter().any(|it| it.is_string()),
                "{method} {path} is not explained"
            );
        }
    }
    assert!(has_bearer(&spec), "the token is described");
}

#[tokio::test]
async fn the_documentation_works_without_the_internet() {
    let replica = Replica::start().await;

    let mut docs = replica.door.get("/docs").await;
    if docs.status == 404 {
        docs = replica.door.get("/docs/").await;
    }

    assert_eq!(docs.status, 200);
    assert!(
        docs.header("content-type")
            .is_some_and(|it| it.starts_with("text/html"))
    );
    for tag in docs.body.split('<').filter(|tag| {
        ["script", "link", "img", "iframe"]
            .iter()
            .any(|name| tag.starts_with(name))
    }) {
        let tag = tag.split('>').next().unwrap_or_default();
        let external = [
            "src=\"http",
            "src=\"//",
            "href=\"http",
            "href=\"//",
            "src='http",
            "href='http",
        ];
        assert!(
            !external.iter().any(|it| tag.contains(it)),
            "fetched from elsewhere: <{tag}>"
        );
    }
}

fn has_bearer(spec: &Value) -> bool {
    let schemes = spec["components"]["securitySchemes"].as_object();
    schemes.is_some_and(|schemes| schemes.values().any(|scheme| scheme["scheme"] == "bearer"))
}

#[test]
fn the_bots_in_the_documentation_are_those_that_are_tried() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).expect("it is there");
    let documentation = read("docs/API.md");

    for (path, language) in [
        ("trials/bots/bot.py", "python"),
        ("trials/bots/bot.ts", "typescript"),
    ] {
        let block = format!("```{language}\n{}```", read(path));
        assert!(
            documentation.contains(&block),
            "docs/API.md differs from {path}"
        );
    }
}
