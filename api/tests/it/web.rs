//! What browsers, proxies and caches see: which hosts are served, which pages may call, what an answer
//! forbids, and pages that are kept (D6, D10).

use reqwest::Method;
use reqwest::header::HeaderMap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{Answer, Door, PATIENCE, Replica};

#[tokio::test]
async fn a_port_of_this_machine_alone_serves_no_foreign_name() {
    let mut replica = Replica::prepare().await;
    replica.settings.replicas[0].1 = "https://chat.example:8443/below".into();
    replica.restart().await;
    let head = |target: &str, hosts: &str| format!("GET {target} HTTP/1.1\r\n{hosts}\r\n");

    for (request, status, code) in [
        (
            head("/v1/server", "Host: evil.example\r\n"),
            403,
            "forbidden",
        ),
        (
            head("/metrics", "Host: evil.example:12001\r\n"),
            403,
            "forbidden",
        ),
        (
            head("/no/such", "Host: 127.0.0.1.evil.example\r\n"),
            403,
            "forbidden",
        ),
        (
            head("http://evil.example/v1/server", "Host: localhost\r\n"),
            403,
            "forbidden",
        ),
        (head("/v1/server", ""), 400, "malformed"),
        (
            head("/v1/server", "Host: localhost\r\nHost: localhost\r\n"),
            400,
            "malformed",
        ),
        (
            head("/v1/server", "Host: localhost\r\nHost: evil.example\r\n"),
            400,
            "malformed",
        ),
        (head("/v1/server", "Host: a b\r\n"), 400, "malformed"),
        ("GET /v1/server HTTP/1.0\r\n\r\n".into(), 400, "malformed"),
    ] {
        let answer = talk(&replica, &request).await;
        assert!(
            answer.contains(&format!(" {status} ")),
            "{request}: {answer}"
        );
        assert!(
            answer.contains(&format!("\"code\":\"{code}\"")),
            "{request}: {answer}"
        );
    }
    for request in [
        head("/v1/server", "Host: localhost\r\n"),
        head("/v1/server", "Host: LocalHost:1\r\n"),
        head("/v1/server", "Host: [::1]:12001\r\n"),
        head("/v1/server", "Host: 127.0.0.2\r\n"),
        head("/v1/server", "Host: chat.example\r\n"),
        head("http://chat.example/v1/server", "Host: chat.example\r\n"),
        "GET /v1/server HTTP/1.0\r\nHost: localhost\r\n\r\n".into(),
    ] {
        let answer = talk(&replica, &request).await;
        assert!(answer.contains(" 200 OK"), "{request}: {answer}");
    }
}

#[tokio::test]
async fn pages_of_the_cluster_may_call_and_no_others() {
    let mut replica = Replica::prepare().await;
    let ours = "https://two.example";
    let url = "http://127.0.0.1:9".to_owned();
    replica.settings.replicas.push((2, format!("{ours}/"), url));
    replica.restart().await;
    let ann = replica.member("ann", "lobby").await;
    let asks = |origin: &str| {
        let path = "/v1/groups/lobby/messages";
        replica
            .door
            .request(Method::OPTIONS, path)
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header(
                "Access-Control-Request-Headers",
                "authorization,idempotency-key",
            )
    };

    let allowed = Answer::to(asks(ours)).await.unwrap();
    assert_eq!(allowed.status, 204);
    assert_eq!(allowed.header("access-control-allow-origin"), Some(ours));
    assert!(contains(&allowed, "access-control-allow-methods", "POST"));
    for name in [
        "Authorization",
        "Content-Type",
        "Idempotency-Key",
        "Last-Event-ID",
    ] {
        assert!(
            contains(&allowed, "access-control-allow-headers", name),
            "{name}"
        );
    }
    assert_eq!(allowed.header("access-control-allow-credentials"), None);
    assert!(contains(&allowed, "vary", "Origin"));
    let foreign = Answer::to(asks("https://evil.example")).await.unwrap();
    foreign.refused(405, "method_not_allowed");
    assert_eq!(foreign.header("access-control-allow-origin"), None);
    assert!(contains(&foreign, "vary", "Origin"));

    let reads = async |path: &str, origin: &str| {
        let request = ann.request(Method::GET, path).header("Origin", origin);
        Answer::to(request).await.unwrap()
    };
    for path in ["/v1/groups", "/v1/groups/none", "/no/such", "/healthz"] {
        let answer = reads(path, ours).await;
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some(ours),
            "{path}"
        );
        for name in ["Causeway-Mark", "X-Request-Id", "Retry-After", "RateLimit"] {
            assert!(
                contains(&answer, "access-control-expose-headers", name),
                "{name}"
            );
        }
        let foreign = reads(path, "https://evil.example").await;
        assert_eq!(
            foreign.header("access-control-allow-origin"),
            None,
            "{path}"
        );
        assert!(contains(&foreign, "vary", "Origin"));
    }
    let stream = ann.listens("lobby").await;
    assert!(stream.headers().contains_key("vary"));
}

#[tokio::test]
async fn every_answer_forbids_browsers_what_no_answer_needs() {
    let replica = Replica::start().await;

    for path in ["/docs", "/healthz", "/v1/server", "/no/such", "/v1/groups"] {
        let answer = replica.door.get(path).await;
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("script-src 'unsafe"), "{path}: {policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}: {name}");
        }
        assert_eq!(answer.header("strict-transport-security"), None, "no TLS");
    }
}

#[tokio::test]
async fn pages_are_compressed_and_kept_until_they_change() {
    let replica = Replica::start().await;
    let get = async |path: &str, headers: &[(&'static str, &str)]| {
        let mut request = unpacking_nothing().get(url(&replica, path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        (status, headers, response.bytes().await.unwrap())
    };
    let text = |headers: &HeaderMap, name: &str| {
        let value = headers
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned());
        value.unwrap_or_default()
    };

    for path in ["/docs", "/openapi.json", "/openapi.yaml"] {
        let (_, headers, plain) = get(path, &[("Accept-Encoding", "identity")]).await;
        let tag = text(&headers, "etag");
        assert!(tag.starts_with('"'), "{path}: {tag}");
        assert!(
            text(&headers, "cache-control").contains("max-age="),
            "{path}"
        );
        assert!(!headers.contains_key("content-encoding"), "{path}");

        let (_, headers, packed) = get(path, &[("Accept-Encoding", "br, gzip")]).await;
        assert_eq!(text(&headers, "content-encoding"), "gzip", "{path}");
        assert!(
            packed.len() * 3 < plain.len(),
            "{path}: {} bytes",
            packed.len()
        );
        assert_ne!(
            text(&headers, "etag"),
            tag,
            "{path}: each encoding has its own"
        );
        let vary: Vec<_> = headers.get_all("vary").iter().collect();
        assert!(
            vary.iter().any(|it| *it == "Accept-Encoding"),
            "{path}: {vary:?}"
        );
        let mut unpacked = Vec::new();
        std::io::Read::read_to_end(
            &mut flate2::read::GzDecoder::new(&packed[..]),
            &mut unpacked,
        )
        .unwrap();
        assert_eq!(unpacked, plain, "{path}");

        for known in [tag.as_str(), &text(&headers, "etag"), "\"x\", *"] {
            let (status, headers, body) = get(path, &[("If-None-Match", known)]).await;
            assert_eq!((status, body.len()), (304, 0), "{path}: {known}");
            assert!(headers.contains_key("etag"), "{path}");
        }
        assert_eq!(get(path, &[("If-None-Match", "\"other\"")]).await.0, 200);
    }
}

#[tokio::test]
async fn long_answers_are_compressed_for_those_who_take_it() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    ann.says("lobby", &"compressible ".repeat(300)).await;
    let history = "/v1/groups/lobby/messages";
    let get = async |path: &str, accepted: &str| {
        let request = unpacking_nothing().get(url(&replica, path));
        let request = request.bearer_auth(&ann.token);
        let request = request.header("Accept-Encoding", accepted);
        let response = request.send().await.unwrap();
        let encoding = response.headers().get("content-encoding").cloned();
        (encoding, response.bytes().await.unwrap())
    };

    let (plain_as, plain) = get(history, "identity").await;
    let (packed_as, packed) = get(history, "gzip").await;

    assert_eq!(plain_as, None);
    assert_eq!(packed_as.unwrap(), "gzip");
    assert!(packed.len() * 4 < plain.len());
    assert_eq!(get("/v1/server", "gzip").await.0, None, "too short to gain");
}

#[tokio::test]
async fn a_compressed_body_is_refused() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;

    for coding in ["gzip", "br", "identity"] {
        let request = ann
            .request(Method::POST, "/v1/groups/lobby/messages")
            .header("Content-Type", "application/json")
            .header("Content-Encoding", coding)
            .body(vec![0x1f, 0x8b, 8, 0]);
        let answer = Answer::to(request).await.unwrap();
        answer.refused(415, "unsupported_media_type");
        assert_eq!(answer.header("accept-encoding"), Some("identity"));
    }
}

#[tokio::test]
async fn metrics_can_have_a_port_of_their_own_or_none() {
    let own = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = own.local_addr().unwrap();
    drop(own);
    let mut replica = Replica::prepare().await;
    replica.settings.more = format!("metrics_listen = \"{address}\"\n");
    replica.restart().await;

    replica.door.get("/metrics").await.refused(404, "not_found");
    let metrics = Door::at(address);
    let text = metrics.get("/metrics").await.body;
    assert!(text.contains("causeway_events "), "{text}");
    metrics.get("/v1/server").await.refused(404, "not_found");

    replica.settings.more = "metrics_listen = \"off\"\n".into();
    replica.restart().await;
    replica.door.get("/metrics").await.refused(404, "not_found");
}

fn unpacking_nothing() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().no_gzip();
    client.build().expect("a client can be made")
}

fn url(replica: &Replica, path: &str) -> String {
    format!("http://{}{path}", replica.door.address())
}

fn contains(answer: &Answer, name: &str, part: &str) -> bool {
    let values = answer.headers.get_all(name).iter();
    let mut values = values.filter_map(|value| value.to_str().ok());
    values.any(|value| value.split(", ").any(|it| it == part))
}

async fn talk(replica: &Replica, request: &str) -> String {
    let mut socket = TcpStream::connect(replica.door.address())
        .await
        .expect("it listens");
    socket
        .write_all(request.as_bytes())
        .await
        .expect("it is read");
    socket.shutdown().await.expect("it is read");
    let mut answer = Vec::new();
    let reading = socket.read_to_end(&mut answer);
    timeout(PATIENCE, reading)
        .await
        .expect("an end")
        .expect("no reset");
    String::from_utf8_lossy(&answer).into_owned()
}
