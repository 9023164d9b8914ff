//! Pages of a history, in order.

use serde_json::Value;

use crate::harness::{Replica, User, ids, texts};

#[tokio::test]
async fn without_a_place_the_newest_page_comes() {
    let (_replica, ann) = with_messages(60).await;

    let newest = ann.page("lobby", "").await;

    assert_eq!(list(&newest).len(), 50);
    assert_eq!(texts(list(&newest))[0], "10");
    assert_eq!(texts(list(&newest))[49], "59");
    assert_eq!(newest["has_before"], true);
    assert_eq!(newest["has_after"], false);
    assert!(newest["cursor"].is_string());
}

#[tokio::test]
async fn pages_before_and_after_cover_everything_once() {
    let (_replica, ann) = with_messages(23).await;
    let all = ann.history("lobby").await;
    let everything: Vec<String> = (0..23).map(|number| format!("{number:02}")).collect();
    assert_eq!(texts(&all), everything);

    for place in ["id", "position"] {
        let mut backwards = Vec::new();
        let mut query = "limit=5".to_owned();
        loop {
            let page = ann.page("lobby", &query).await;
            assert_eq!(page["has_after"], !backwards.is_empty(), "{query}");
            backwards.splice(0..0, list(&page).iter().cloned());
            query = format!(
                "limit=5&before={}",
                backwards[0][place].as_str().expect("a text")
            );
            if page["has_before"] == false {
                break;
            }
        }
        assert_eq!(texts(&backwards), everything, "backwards by {place}");

        let mut forwards = vec![all[0].clone()];
        loop {
            let last = forwards[forwards.len() - 1][place]
                .as_str()
                .expect("a text");
            let page = ann.page("lobby", &format!("limit=5&after={last}")).await;
            assert_eq!(page["has_before"], true);
            forwards.extend(list(&page).iter().cloned());
            if page["has_after"] == false {
                break;
            }
        }
        assert_eq!(texts(&forwards), everything, "forwards by {place}");
    }
}

#[tokio::test]
async fn a_page_around_a_message_includes_it_and_is_filled_near_the_ends() {
    let (_replica, ann) = with_messages(20).await;
    let all = ann.history("lobby").await;

    for at in 0..20 {
        for place in ["id", "position"] {
            let around = all[at][place].as_str().expect("a text");
            let page = ann.page("lobby", &format!("limit=7&around={around}")).await;
            let shown = ids(list(&page));
            assert_eq!(shown.len(), 7, "around {at}");
            let start = ids(&all)
                .iter()
                .position(|id| *id == shown[0])
                .expect("from the history");
            assert_eq!(shown, ids(&all)[start..start + 7], "a page has no holes");
            assert!(
                (start..start + 7).contains(&at),
                "{at} is not among {start} and six more"
            );
            if (3..=16).contains(&at) {
                assert!(
                    at - start >= 2 && start + 6 - at >= 2,
                    "{at} stands in the middle"
                );
            }
            assert_eq!(page["has_before"], start > 0);
            assert_eq!(page["has_after"], start + 7 < 20);
        }
    }
}

#[tokio::test]
async fn nothing_lies_beyond_the_ends() {
    let (_replica, ann) = with_messages(3).await;
    let all = ann.history("lobby").await;

    let before = ann.page("lobby", &format!("before={}", ids(&all)[0])).await;
    assert!(list(&before).is_empty());
    assert_eq!(before["has_before"], false);
    assert_eq!(before["has_after"], true);
    let after = ann.page("lobby", &format!("after={}", ids(&all)[2])).await;
    assert!(list(&after).is_empty());
    assert_eq!(after["has_after"], false);
    assert_eq!(after["has_before"], true);
    ann.joins("empty").await;
    let empty = ann.page("empty", "").await;
    assert!(list(&empty).is_empty());
    assert_eq!(empty["has_before"], false);
    assert_eq!(empty["has_after"], false);
}

#[tokio::test]
async fn pages_have_between_one_and_five_hundred_messages() {
    let (_replica, ann) = with_messages(5).await;
    let path = "/v1/groups/lobby/messages";

    assert_eq!(texts(list(&ann.page("lobby", "limit=1").await)), ["04"]);
    assert_eq!(list(&ann.page("lobby", "limit=500").await).len(), 5);
    for limit in [
        "0",
        "501",
        "-1",
        "1.5",
        "many",
        "",
        "99999999999999999999",
        "1e2",
        "%00",
    ] {
        let detail = ann
            .get(&format!("{path}?limit={limit}"))
            .await
            .refused(422, "invalid");
        assert!(detail.contains("limit"), "{limit}: {detail}");
    }
    for place in ["before", "after", "around"] {
        let answer = ann.get(&format!("{path}?{place}={}", "0".repeat(32))).await;
        answer.refused(404, "not_found");
    }
}

#[tokio::test]
async fn a_message_of_another_group_is_no_place_here() {
    let (_replica, ann) = with_messages(2).await;
    ann.joins("garden").await;
    let elsewhere = ann.says("garden", "roses").await;
    let id = elsewhere["id"].as_str().expect("a text");

    for place in ["before", "after", "around"] {
        let path = format!("/v1/groups/lobby/messages?{place}={id}");
        ann.get(&path).await.refused(404, "not_found");
    }
    ann.get(&format!("/v1/groups/lobby/messages/{id}"))
        .await
        .refused(404, "not_found");
}

#[tokio::test]
async fn whoever_reads_pages_goes_on_from_the_cursor_of_the_first() {
    let (_replica, ann) = with_messages(6).await;
    let first = ann.page("lobby", "limit=3").await;
    ann.says("lobby", "after the page").await;

    let mut stream = ann
        .resumes("lobby", first["cursor"].as_str().expect("a text"))
        .await;

    let missed = stream.catches_up().await;
    let missed: Vec<Value> = missed.into_iter().map(|frame| frame.data).collect();
    assert_eq!(texts(&missed), ["after the page"]);
}

async fn with_messages(count: usize) -> (Replica, User) {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    for number in 0..count {
        ann.says("lobby", &format!("{number:02}")).await;
    }
    (replica, ann)
}

fn list(page: &Value) -> &[Value] {
    page["messages"].as_array().expect("a list")
}
