//! An answer that ends too early is an error, never a short history (F14).

use std::io::Write as _;

use causeway_domain::version_vector::VersionVector;
use causeway_replicator::link::Link;
use causeway_replicator_core::auth::{HEADER, PeerKeys, Session};
use causeway_replicator_core::failure::LinkError;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use crate::support::{Door, expect_agreement, replicas, until};
use crate::{link, stop};

#[tokio::test]
async fn nothing_is_stored_of_an_answer_whose_connection_died_in_the_middle() {
    let replicas = replicas(2, |_| b"key").await;
    let [holder, puller] = &replicas[..] else {
        unreachable!("two were asked for")
    };
    // Nothing is pushed to the puller, and what it pulls is torn.
    puller.set_door(Door::Shut);
    holder.set_door(Door::Tearing);
    let wrote = holder.log.origin();
    for number in 0..20 {
        holder.join(&format!("user{number}")).await;
    }

    until("some answers are torn", || holder.torn() > 3).await;

    let (held, stored) = (puller.log.head(), puller.log.read_after(0, 100).await);
    assert_eq!((held.vector.get(wrote), stored.unwrap().len()), (0, 0));
    holder.set_door(Door::Open);
    expect_agreement(&replicas, 20).await;
    stop(replicas).await;
}

#[tokio::test]
async fn a_link_takes_no_answer_that_is_not_whole() {
    let body = b"a line\n".repeat(1_000);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&body).unwrap();
    let zipped = gzip.finish().unwrap();
    let sized = format!("content-length: {}\r\n", body.len());
    let chunk = [b"1B58\r\n", &body[..], b"\r\n"].concat();
    let ended = [&chunk[..], b"0\r\n\r\n"].concat();
    let (chunked, zip) = (
        "transfer-encoding: chunked\r\n",
        "content-encoding: gzip\r\n",
    );

    for (head, bytes, missing) in [
        (&*sized, &body, 1..5_000),
        // Whatever ends with the connection looks whole: only its signature tells.
        ("", &body, 1..5_000),
        (chunked, &ended, 5..5_000),
        (zip, &zipped, 9..zipped.len()),
    ] {
        assert_eq!(pulled(&body, head, bytes).await, Ok(1_000), "{head}");
        for missing in [missing.start, missing.end - 1] {
            let outcome = pulled(&body, head, &bytes[..bytes.len() - missing]).await;
            let is_refused = matches!(
                outcome,
                Err(LinkError::Unreachable | LinkError::Malformed(_))
            );
            assert!(is_refused, "{head:?} without {missing} bytes: {outcome:?}");
        }
    }
}

/// Pulls from a peer that signs one body and sends these bytes in its place; tells how many lines
/// came.
async fn pulled(signed: &[u8], head: &str, bytes: &[u8]) -> Result<usize, LinkError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let link = link(&listener);
    let answering = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line: &String| line != "\r\n") {
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            lines.push(line);
        }
        let prefix = format!("{HEADER}: ");
        let mut signatures = lines.iter().filter_map(|line| line.strip_prefix(&prefix));
        let signature = signatures.next().map(str::trim);
        let target = lines[0].split(' ').nth(1).unwrap();
        let question = PeerKeys::new(b"key", None).verify(signature, "GET", target);
        let question = question.ok().unwrap();
        let offer = Session {
            process: question.head.from,
            opened_ms: 0,
        };
        let signature = question.sign_answer(200, offer, signed);
        let head =
            format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{HEADER}: {signature}\r\n{head}\r\n");
        stream
            .write_all(&[head.as_bytes(), bytes].concat())
            .await
            .unwrap();
        stream.shutdown().await.unwrap();
    };
    let after = VersionVector::default();

    let (outcome, ()) = tokio::join!(link.pull(&after, 1), answering);

    outcome.map(|decoded| decoded.flawed)
}
