//! Rate limits: per user, per name and address, per address; with the headers that say so.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Answer, Replica, User, all_at_once};

#[tokio::test]
async fn a_user_who_writes_too_often_is_told_when_to_come_back_and_others_are_not_limited() {
    let replica = limited("writes_per_second = 2").await;
    let (ann, bob) = (replica.user("ann").await, replica.user("bob").await);
    joins(&ann).await;
    joins(&bob).await;

    let refused = until_refused(async |number| says(&ann, &format!("key-{number}")).await).await;
    let (number, answer) = refused;

    answer.refused(429, "rate_limited");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some(r#""writes";q=2;w=1"#)
    );
    assert_eq!(answer.header("ratelimit"), Some(r#""writes";r=0;t=1"#));
    assert!(
        ann.get("/v1/view").await.header("ratelimit").is_none(),
        "reads are not limited"
    );
    let of_bob = says(&bob, "bob").await;
    of_bob.with(201);
    assert!(
        of_bob
            .header("ratelimit")
            .is_some_and(|state| state.starts_with(r#""writes";r="#))
    );

    // The key of the refused post is not used up, and a repeat is answered as always.
    let key = format!("key-{number}");
    let posted = until_accepted(async || says(&ann, &key).await).await;
    let repeated = until_accepted(async || says(&ann, &key).await).await;
    assert_eq!(posted.with(201)["id"], repeated.with(200)["id"]);
}

#[tokio::test]
async fn reads_and_new_groups_are_limited_for_each_user() {
    let replica = limited("reads_per_second = 1\nnew_groups_per_hour = 2").await;
    let ann = replica.user("ann").await;

    for group in ["one", "two", "two", "one"] {
        let path = format!("/v1/groups/{group}/members/me");
        ann.put(&path).await.with(200);
    }
    let third = ann.put("/v1/groups/three/members/me").await;
    third.refused(429, "rate_limited");
    assert_eq!(
        third.header("ratelimit-policy"),
        Some(r#""new-groups";q=2;w=3600"#)
    );
    ann.put("/v1/groups/one/members/me").await.with(200);
    let bob = replica.user("bob").await;
    bob.put("/v1/groups/three/members/me").await.with(200);

    let read = async |_| ann.get("/v1/groups/one/messages").await;
    until_refused(read).await.1.refused(429, "rate_limited");
}

#[tokio::test]
async fn log_ins_are_limited_by_name_and_address_and_other_calls_by_address() {
    let replica = limited("logins_per_minute = 2").await;
    let log_in = async |name: &str| {
        let request = replica.door.request(Method::POST, "/v1/sessions");
        Answer::to(request.json(&json!({ "name": name })))
            .await
            .unwrap()
    };

    let refused = until_refused(async |_| log_in("Ann").await).await.1;
    refused.refused(429, "rate_limited");
    assert_eq!(
        refused.header("ratelimit-policy"),
        Some(r#""logins";q=2;w=60"#)
    );
    log_in("ANN").await.refused(429, "rate_limited");
    log_in("bob").await.with(201);

    let replica = limited("requests_per_second = 1").await;
    let ask = async |_| replica.door.get("/v1/view").await;
    let refused = until_refused(ask).await.1;
    refused.refused(429, "rate_limited");
    assert_eq!(
        refused.header("ratelimit-policy"),
        Some(r#""requests";q=1;w=1"#)
    );
    for _ in 0..5 {
        assert_eq!(
            replica.door.get("/healthz").await.status,
            200,
            "probes are not counted"
        );
        assert_eq!(replica.door.get("/readyz").await.status, 200);
    }
}

#[tokio::test]
async fn only_a_trusted_proxy_says_who_the_client_is() {
    let settings = "behind_proxy = true\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let behind_proxy = with(settings, "logins_per_minute = 1").await;
    let direct = limited("logins_per_minute = 1").await;
    let log_in = async |replica: &Replica, forwarded: &str| {
        let request = replica.door.request(Method::POST, "/v1/sessions");
        let request = request.header("X-Forwarded-For", forwarded);
        Answer::to(request.json(&json!({ "name": "ann" })))
            .await
            .unwrap()
    };

    let told = async |_| log_in(&behind_proxy, "198.51.100.1, 203.0.113.1").await;
    until_refused(told).await;
    log_in(&behind_proxy, "198.51.100.9, 203.0.113.1")
        .await
        .refused(429, "rate_limited");
    log_in(&behind_proxy, "203.0.113.2").await.with(201);

    let lies = async |number| log_in(&direct, &format!("203.0.113.{number}")).await;
    until_refused(lies).await.1.refused(429, "rate_limited");
}

#[tokio::test]
async fn without_settings_nothing_is_limited() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;

    let keys: Vec<String> = (0..50).map(|number| format!("key-{number}")).collect();
    let answers = all_at_once(keys.iter().map(|key| says(&ann, key)));

    for answer in answers.await {
        answer.with(201);
        assert!(answer.header("ratelimit").is_none());
    }
}

async fn limited(limits: &str) -> Replica {
    with("", limits).await
}

async fn with(settings: &str, limits: &str) -> Replica {
    let mut replica = Replica::prepare().await;
    replica.settings.more = format!("{settings}[limits]\n{limits}\n");
    replica.restart().await;
    replica
}

async fn joins(user: &User) {
    let path = "/v1/groups/lobby/members/me";
    until_accepted(async || user.put(path).await)
        .await
        .with(200);
}

async fn says(user: &User, key: &str) -> Answer {
    user.says_once("lobby", key, key).await
}

/// Calls until a call is refused; returns its number.
async fn until_refused(call: impl AsyncFn(usize) -> Answer) -> (usize, Answer) {
    for number in 0..200 {
        let answer = call(number).await;
        if answer.status == 429 {
            return (number, answer);
        }
    }
    panic!("200 calls were accepted");
}

/// Calls until a call is not refused.
async fn until_accepted(call: impl AsyncFn() -> Answer) -> Answer {
    loop {
        let answer = call().await;
        if answer.status != 429 {
            return answer;
        }
        let wait = answer.header("retry-after").and_then(|s| s.parse().ok());
        tokio::time::sleep(std::time::Duration::from_secs(wait.unwrap_or(1))).await;
    }
}
