//! Names: one form for all spellings that look the same.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Answer, Replica, names};

const ODD_NAMES: [&str; 15] = [
    "",
    " ",
    ".hidden",
    "-dash",
    "_score",
    "two words",
    "a/b",
    "a\u{0}b",
    "a\nb",
    "smile🙂",
    "a,b",
    "a@b",
    "\u{202e}",
    "<b>",
    "\u{430}dmin",
];

#[tokio::test]
async fn spellings_of_a_user_name_are_one_user() {
    let replica = Replica::start().await;

    for (typed, stored) in [
        ("Ann", "ann"),
        ("ANN", "ann"),
        ("Ａｎｎ", "ann"),
        ("Straße", "strasse"),
        ("ﬁsh", "fish"),
        ("E\u{301}mile", "émile"),
        ("Ωμέγα", "ωμέγα"),
        ("7of9", "7of9"),
        ("a.b-c_d", "a.b-c_d"),
        ("漢字", "漢字"),
        ("น้ำฝน", "น้\u{e4d}าฝน"),
        ("कृष्ण", "कृष्ण"),
        ("தமிழ்", "தமிழ்"),
        ("İstanbul", "i\u{307}stanbul"),
        ("a\u{3164}b", "ab"),
    ] {
        let user = replica.user(typed).await;
        assert_eq!(user.name, stored);
        assert_eq!(user.id, replica.user(stored).await.id);
    }
    let longest = "x".repeat(32);
    assert_eq!(replica.user(&longest).await.name, longest);
}

#[tokio::test]
async fn odd_user_names_are_refused_with_the_field() {
    let replica = Replica::start().await;
    let too_long = "x".repeat(33);
    let folds_too_long = "ß".repeat(17);

    let odd = ODD_NAMES
        .iter()
        .copied()
        .chain([too_long.as_str(), folds_too_long.as_str()]);
    for name in odd {
        let request = replica.door.request(Method::POST, "/v1/sessions");
        let answer = Answer::to(request.json(&json!({ "name": name })))
            .await
            .expect("an answer");
        let detail = answer.refused(422, "invalid");
        assert!(detail.contains("name"), "{name:?}: {detail}");
    }
}

#[tokio::test]
async fn group_names_in_paths_are_folded_too() {
    let replica = Replica::start().await;
    let ann = replica.user("ann").await;

    assert_eq!(ann.joins("STRAßE").await["group"], "strasse");
    assert_eq!(ann.joins("Strasse").await["members_count"], 1);
    let message = ann.says("straSSE", "one group").await;

    assert_eq!(message["group"], "strasse");
    assert_eq!(
        ann.message("STRASSE", &message["id"]).await["text"],
        "one group"
    );
    assert_eq!(ann.history("STRASSE").await.len(), 1);
    assert_eq!(ann.snapshot("Ｓtrasse").await["group"], "strasse");
    let groups = ann.get("/v1/groups").await.with(200);
    assert_eq!(names(&groups["groups"]), ["strasse"]);
}

#[tokio::test]
async fn odd_group_names_are_refused_wherever_they_stand() {
    let replica = Replica::start().await;
    let ann = replica.user("ann").await;
    let paths = [
        (Method::PUT, "/members/me"),
        (Method::DELETE, "/members/me"),
        (Method::GET, ""),
        (Method::GET, "/members"),
        (Method::GET, "/messages"),
        (Method::GET, "/events"),
        (Method::GET, "/changes"),
    ];
    let odd = [
        ".hidden",
        "-dash",
        "two%20words",
        "a%00b",
        "%F0%9F%99%82",
        "a%2Cb",
        "%3Cb%3E",
    ];
    let too_long = "x".repeat(33);

    for (method, rest) in paths {
        for name in odd.iter().copied().chain([too_long.as_str()]) {
            let path = format!("/v1/groups/{name}{rest}");
            let answer = ann
                .tries(ann.request(method.clone(), &path))
                .await
                .expect("an answer");
            answer.refused(422, "invalid");
        }
    }
    let groups = ann.get("/v1/groups").await.with(200);
    assert!(names(&groups["groups"]).is_empty());
}

#[tokio::test]
async fn a_path_that_is_no_text_is_refused_and_harms_nothing() {
    let replica = Replica::start().await;
    let ann = replica.user("ann").await;

    for path in [
        "/v1/groups/%FF",
        "/v1/groups/%C3%28/messages",
        "/v1/groups/a%2Fb",
        "/v1/groups/%2E%2E%2F",
    ] {
        let answer = ann.get(path).await;
        let code = if answer.status == 404 {
            "not_found"
        } else {
            "invalid"
        };
        answer.refused(if code == "invalid" { 422 } else { 404 }, code);
    }

    ann.joins("lobby").await;
}
