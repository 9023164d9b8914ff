//! Texts of messages: what is accepted.

use serde_json::json;

use crate::harness::Replica;

const PATH: &str = "/v1/groups/lobby/messages";

#[tokio::test]
async fn texts_are_trimmed_and_otherwise_kept_as_they_are() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;

    for (sent, kept) in [
        ("  around  ", "  around"),
        ("\n two\nlines \t", " two\nlines"),
        ("    indented\n  two", "    indented\n  two"),
        ("\r\nmail\r\nand\rcron\r\n", "mail\nand\ncron"),
        ("a\ttab", "a\ttab"),
        (
            "'; DROP TABLE events; -- $1 %s {}",
            "'; DROP TABLE events; -- $1 %s {}",
        ),
        ("<b>&amp;</b> \\ \" /", "<b>&amp;</b> \\ \" /"),
        (
            "🦀 é é 漢字 \u{202e}right to left",
            "🦀 é é 漢字 \u{202e}right to left",
        ),
        ("e\u{301}", "e\u{301}"),
        ("👩\u{200d}👩\u{200d}👧", "👩\u{200d}👩\u{200d}👧"),
    ] {
        let message = ann.says("lobby", sent).await;
        assert_eq!(message["text"], kept);
        assert_eq!(ann.message("lobby", &message["id"]).await["text"], kept);
    }
}

#[tokio::test]
async fn a_text_is_counted_in_characters_not_in_bytes() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;

    for longest in [
        "x".repeat(4000),
        "🦀".repeat(4000),
        format!(" \n{}  ", "é".repeat(4000)),
        "x\r\n".repeat(2000) + "\r\n",
    ] {
        let message = ann.says("lobby", &longest).await;
        assert_eq!(message["text"], longest.trim().replace('\r', ""));
    }
    for too_long in ["x".repeat(4001), "🦀".repeat(4001)] {
        let answer = ann.post(PATH, &json!({ "text": too_long })).await;
        let detail = answer.refused(422, "invalid");
        assert!(
            detail.contains("text") && detail.contains("4000"),
            "{detail}"
        );
    }
    assert_eq!(ann.history("lobby").await.len(), 4);
}

#[tokio::test]
async fn empty_texts_and_control_characters_are_refused() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;

    for text in [
        "",
        "   ",
        "\n\t\n",
        "\r\n",
        "\u{200b}",
        "\u{2060}",
        "\u{ad}",
        "\u{fe0f}",
        "\u{3164}",
        "\u{2800}",
        "\u{feff}\u{202e}\u{e0020}",
        "nul \0",
        "escape \u{1b}[31m",
        "bell \u{7}",
        "c1 \u{9b}31m",
        "del \u{7f}",
    ] {
        let detail = ann
            .post(PATH, &json!({ "text": text }))
            .await
            .refused(422, "invalid");
        assert!(detail.contains("text"), "{text:?}: {detail}");
    }

    assert!(ann.history("lobby").await.is_empty());
}

#[tokio::test]
async fn the_same_text_with_other_line_ends_is_the_same_message() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let post = |text: &str| {
        let request = ann.request(reqwest::Method::POST, PATH);
        ann.tries(
            request
                .header("Idempotency-Key", "k")
                .json(&json!({ "text": text })),
        )
    };

    let first = post("a\r\nb\r\n").await.expect("an answer").with(201);
    let again = post("a\nb").await.expect("an answer").with(200);

    assert_eq!(first["id"], again["id"]);
}
