//! One scenario through a client of openapi-generator (rust): what everybody's bot does.

use std::io::BufRead as _;

use causeway_api::apis::configuration::Configuration;
use causeway_api::apis::{Error, groups_api, messages_api, server_api, sessions_api, streams_api};
use causeway_api::models::{Login, Message, MessageDraft, Problem};

const GROUP: &str = "sdk-rust";

async fn logged_in(name: &str) -> Vec<Configuration> {
    let mut replicas: Vec<Configuration> = (1..=3)
        .map(|number| Configuration {
            base_path: std::env::var(format!("CAUSEWAY_{number}")).expect("a replica"),
            ..Configuration::default()
        })
        .collect();
    let session = sessions_api::log_in(&replicas[0], Login::new(name.into()), None, None);
    let token = session.await.expect("a session").token;
    for replica in &mut replicas {
        replica.bearer_access_token = Some(token.clone());
    }
    replicas
}

async fn post(at: &Configuration, text: &str, key: &str, at_least: &str) -> Message {
    let draft = MessageDraft::new(text.into());
    messages_api::post_message(at, GROUP, draft, Some(key), None, None, Some(at_least), None)
        .await
        .expect("it is posted")
}

async fn follow(at: &Configuration, mut cursor: String, text: &str) -> Message {
    loop {
        let page = streams_api::list_changes(at, GROUP, Some(&cursor), Some(20_000), None, None, None);
        let page = page.await.expect("changes");
        cursor = page.cursor;
        for change in page.events {
            if change["event"] == "message" && change["data"]["text"] == text {
                return serde_json::from_value(change["data"].clone()).expect("a message");
            }
        }
    }
}

fn told(line: &str) {
    println!("{line}");
    let mut done = String::new();
    std::io::stdin().lock().read_line(&mut done).expect("an answer");
}

#[tokio::main]
async fn main() {
    let ann = logged_in("ann-rust").await;
    let bob = logged_in("bob-rust").await;
    // These clients show no headers; a snapshot's cursor does what a mark does.
    let joined = groups_api::join_group(&ann[0], GROUP, None, None).await.expect("joined");
    let mark = joined.cursor;

    let first = post(&ann[0], "one", "key 1", &mark).await;
    let again = post(&ann[1], "one", "key 1", &mark).await;
    assert_eq!(again.id, first.id);
    let second = post(&ann[0], "two", "key 2", &mark).await;

    let page = |before: Option<String>| {
        let at = &ann[0];
        async move {
            messages_api::list_messages(at, GROUP, before.as_deref(), None, None, Some(1), None, None)
                .await
                .expect("a page")
        }
    };
    assert_eq!(page(None).await.messages[0].id, second.id);
    let older = page(Some(second.id)).await;
    assert_eq!(older.messages[0].id, first.id);
    assert!(!older.has_before);

    groups_api::join_group(&bob[0], GROUP, None, None).await.expect("joined");
    let liked = messages_api::like_message(&bob[0], GROUP, &first.id, None, None).await;
    assert_eq!(liked.expect("liked").likes, 1);
    let after = groups_api::show_group(&bob[0], GROUP, None, None).await.expect("a snapshot").cursor;

    // A typed error.
    let own = messages_api::like_message(&ann[0], GROUP, &first.id, None, None).await;
    let Err(Error::ResponseError(refused)) = own else {
        panic!("{own:?}")
    };
    // `entity` is of the variant for the first status, whatever the status was.
    let problem: Problem = serde_json::from_str(&refused.content).expect("a problem");
    assert_eq!((problem.code.as_str(), problem.status), ("own_message", 409));

    // A code that is of a later version, where the server is.
    let missing = messages_api::show_message(&ann[0], GROUP, "nothing", None, None).await;
    let Err(Error::ResponseError(missing)) = missing else {
        panic!("{missing:?}")
    };
    let problem: Problem = serde_json::from_str(&missing.content).expect("a problem");
    assert_eq!(problem.status, 404);

    // Where to fail over to, and what a replica knows of the others.
    let server = server_api::show_server(&ann[0], None, None).await.expect("a description");
    assert!(server.public_urls.len() == 3 && !server.mode.is_empty(), "{server:?}");
    let view = server_api::show_view(&ann[0], None, None).await.expect("a view");
    assert!(view.peers.iter().all(|peer| !peer.status.is_empty() && !peer.out.is_empty()));
    assert!(view.alarms.iter().all(|alarm| !alarm.kind.is_empty()), "{view:?}");

    // Followed at the third replica, while the second one is killed.
    let snapshot = groups_api::show_group(&ann[2], GROUP, Some(&after), None).await.expect("a snapshot");
    told("kill 2");
    let (third, followed) = tokio::join!(
        post(&ann[0], "three", "key 3", &mark),
        follow(&ann[2], snapshot.cursor, "three"),
    );
    assert_eq!(followed.id, third.id);
    told("start 2");
}
