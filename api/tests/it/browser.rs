//! The page at `/docs` in a real browser: an operation is tried there from log-in to reading, also
//! below the path of a proxy, and nothing is fetched from anywhere else.
//!
//! Needs `chromedriver` and Chromium. Without them the test fails in CI, where `.ci/run` installs
//! them, and says so elsewhere.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Browser, Replica};

#[tokio::test]
async fn the_api_can_be_tried_in_a_browser_without_the_internet() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let replica = Replica::start().await;
    replica.member("ann", "lobby").await;
    let address = replica.door.address();

    try_it(&browser, &format!("http://{address}"), "Hello, world").await;
    let proxy = proxy_of(address, "/chat").await;
    try_it(&browser, &format!("http://{proxy}/chat"), "Hello, world").await;

    let ann = replica.user("ann").await;
    assert_eq!(ann.history("lobby").await.len(), 2);
    browser.screenshot("docs.png").await;
    let requests = browser.requests().await;
    // Its own pages, such as that of an empty tab, are no addresses of the network.
    for url in requests.iter().filter(|url| !url.starts_with("chrome:")) {
        let is_ours = [address, proxy]
            .iter()
            .any(|ours| url.starts_with(&format!("http://{ours}/")));
        assert!(is_ours || url.starts_with("data:"), "fetched: {url}");
    }
    browser.quit().await;
}

async fn try_it(browser: &Browser, base: &str, text: &str) {
    browser.open(&format!("{base}/docs")).await;

    let session = execute(browser, "Sessions-log_in").await;
    browser.click(".scheme-container .authorize").await;
    let token = session["token"].as_str().expect("a token");
    browser.write(".auth-container input", token).await;
    browser.click(".auth-btn-wrapper .authorize").await;
    browser.click(".auth-btn-wrapper .btn-done").await;
    let posted = execute(browser, "Messages-post_message").await;
    assert_eq!(posted["text"], text);
    let page = execute(browser, "Messages-list_messages").await;
    let last = page["messages"].as_array().expect("messages").last();
    assert_eq!(last.expect("it is there")["id"], posted["id"]);
}

/// Opens an operation, tries it with what stands there, and returns the answer that is shown.
async fn execute(browser: &Browser, operation: &str) -> Value {
    let block = format!("#operations-{operation}");
    browser
        .click(&format!("{block} .opblock-summary-control"))
        .await;
    browser.click(&format!("{block} .try-out__btn")).await;
    browser.click(&format!("{block} .execute")).await;
    let shown = format!("{block} .live-responses-table .highlight-code code");
    let text = browser.text(&shown).await;
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{operation}: {error}: {text}"))
}

/// A proxy that has a server below a path: one request for each connection.
async fn proxy_of(server: SocketAddr, prefix: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    if client.read_buf(&mut head).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let head = String::from_utf8_lossy(&head);
                let below = head.replacen(&format!(" {prefix}/"), " /", 1).replacen(
                    "keep-alive",
                    "close",
                    1,
                );
                let mut server = TcpStream::connect(server).await.expect("it listens");
                drop(server.write_all(below.as_bytes()).await);
                drop(copy_bidirectional(&mut client, &mut server).await);
            });
        }
    });
    address
}
