//! Pages with long messages: bounded in bytes, and still complete.

use serde_json::Value;

use crate::harness::{Replica, User, all_at_once, ids};

const PAGE_BYTES: usize = 1 << 20;
/// Messages of the group; all of them are 1.9 MB of JSON.
const MESSAGES: usize = 120;

#[tokio::test]
async fn pages_of_long_messages_have_at_most_a_mebibyte_and_cover_everything_once() {
    let (_replica, ann, start) = with_long_messages().await;
    let all = ann.history("lobby").await;
    assert_eq!(all.len(), MESSAGES);
    let place = |message: &Value| message["id"].as_str().expect("a text").to_owned();

    let mut backwards: Vec<Value> = Vec::new();
    loop {
        let before = backwards.first().map(|it| format!("&before={}", place(it)));
        let page = page(&ann, &before.unwrap_or_default()).await;
        assert_eq!(page["has_after"], !backwards.is_empty());
        backwards.splice(0..0, list(&page).iter().cloned());
        if page["has_before"] == false {
            break;
        }
    }
    assert_eq!(ids(&backwards), ids(&all));

    let mut forwards = vec![all[0].clone()];
    loop {
        let last = place(&forwards[forwards.len() - 1]);
        let page = page(&ann, &format!("&after={last}")).await;
        assert_eq!(page["has_before"], true);
        forwards.extend(list(&page).iter().cloned());
        if page["has_after"] == false {
            break;
        }
    }
    assert_eq!(ids(&forwards), ids(&all));

    let middle = MESSAGES / 2;
    let around = page(&ann, &format!("&around={}", place(&all[middle]))).await;
    let shown = ids(list(&around));
    let first = ids(&all).iter().position(|id| *id == shown[0]);
    let first = first.expect("from the history");
    assert_eq!(
        shown,
        ids(&all)[first..first + shown.len()],
        "without holes"
    );
    let middle_of_page = first + shown.len() / 2;
    assert!(
        middle_of_page.abs_diff(middle) <= 1,
        "{first}, {}",
        shown.len()
    );
    assert_eq!(
        (&around["has_before"], &around["has_after"]),
        (&true.into(), &true.into())
    );

    let changes = changed(&ann, &start).await;
    assert_eq!(changes.len(), MESSAGES);
    let mut once: Vec<&str> = changes
        .iter()
        .map(|change| change["data"]["id"].as_str().expect("a text"))
        .collect();
    once.sort_unstable();
    let mut expected = ids(&all);
    expected.sort_unstable();
    assert_eq!(once, expected);
}

/// A replica with long messages, a member, and a cursor from before them.
async fn with_long_messages() -> (Replica, User, String) {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let start = ann.get("/v1/groups/lobby/changes").await.with(200);
    let start = start["cursor"].as_str().expect("a cursor").to_owned();
    // Every other text needs more bytes as JSON than in the database.
    let texts = ["\u{1f409}".repeat(4_000), "\"\\\nx".repeat(1_000)];
    let ann = &ann;
    let texts = &texts;
    all_at_once((0..8).map(|client| async move {
        for number in (client..MESSAGES).step_by(8) {
            ann.says("lobby", &texts[usize::from(number % 4 == 0)])
                .await;
        }
    }))
    .await;
    (replica, ann.clone(), start)
}

/// A page of the largest limit.
async fn page(ann: &User, place: &str) -> Value {
    let path = format!("/v1/groups/lobby/messages?limit=500{place}");
    let answer = ann.get(&path).await;
    let page = answer.with(200);
    let bytes = answer.body.len();
    assert!(bytes <= PAGE_BYTES, "{bytes}");
    assert!(!list(&page).is_empty());
    // What was left out would not have fitted.
    let is_partial = page["has_before"] == true && page["has_after"] == true;
    assert!(!is_partial || bytes > PAGE_BYTES * 9 / 10, "{bytes}");
    page
}

/// All changes after a cursor.
async fn changed(ann: &User, start: &str) -> Vec<Value> {
    let (mut changes, mut cursor) = (Vec::new(), start.to_owned());
    loop {
        let path = format!("/v1/groups/lobby/changes?limit=500&cursor={cursor}");
        let answer = ann.get(&path).await;
        let page = answer.with(200);
        assert!(answer.body.len() <= PAGE_BYTES, "{}", answer.body.len());
        changes.extend(page["events"].as_array().expect("a list").iter().cloned());
        page["cursor"]
            .as_str()
            .expect("a cursor")
            .clone_into(&mut cursor);
        if page["caught_up"] == true {
            return changes;
        }
    }
}

fn list(page: &Value) -> &[Value] {
    page["messages"].as_array().expect("a list")
}
