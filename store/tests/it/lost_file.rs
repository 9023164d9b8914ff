//! The file beside the database cannot be written: without it a later restore of the database could
//! not be detected.

use std::fs;
use std::path::Path;
use std::time::Duration;

use causeway_store::log::SubmitError;
use tokio::time::timeout;

use crate::support::{Store, eventually, post};

#[tokio::test(flavor = "multi_thread")]
async fn no_number_is_given_while_the_file_cannot_be_written_and_all_else_goes_on() {
    let (store, other) = tokio::join!(Store::create(1), Store::create(2));
    let file = store.options.data_dir.join("identity.json");
    let (replica, other) = tokio::join!(store.open(), other.open());
    replica.join("lobby", "anna").await;
    other.join("lobby", "bert").await;
    let say = async || {
        replica
            .log
            .submit(post("lobby", "anna", "hello", None))
            .await
    };

    // A directory cannot be written as a file, not even by root.
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let mut written = 0;
    let refused = loop {
        match say().await {
            Ok(_) => written += 1,
            Err(refused) => break refused,
        }
        assert!(written < 1_000, "the failure is not detected");
    };
    assert!(matches!(refused, SubmitError::FileStuck));
    assert!(replica.log.is_file_stuck());
    // The write that met the failure is committed, but not acknowledged.
    written += 1;
    assert!(matches!(say().await, Err(SubmitError::FileStuck)));
    replica.pull_from(&other).await;
    let held = replica.log.head().vector.clone();
    assert_eq!(held.get(replica.log.origin()), 1 + written);
    assert_eq!(held.get(other.log.origin()), 1);

    fs::remove_dir(&file).unwrap();
    say().await.unwrap();
    assert!(!replica.log.is_file_stuck());
    replica.close().await;
    let replica = store.open().await;
    assert_eq!(
        replica.log.head().vector.get(replica.log.origin()),
        2 + written
    );
    replica.close().await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_hangs_is_one_that_cannot_be_written() {
    let (store, other) = tokio::join!(Store::create(1), Store::create(2));
    let file = store.options.data_dir.join("identity.json");
    let (replica, other) = tokio::join!(store.open(), other.open());
    replica.join("lobby", "anna").await;
    other.join("lobby", "bert").await;
    let say = async || {
        let said = replica.log.submit(post("lobby", "anna", "hello", None));
        let answered = timeout(Duration::from_mins(1), said).await;
        answered.expect("a file that hangs does not delay answers for long")
    };

    // This pipe has no writer, so opening it for reading blocks.
    let kept = file.with_extension("kept");
    fs::rename(&file, &kept).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &file, rustix::fs::Mode::RUSR).unwrap();
    let _released = Released(&file);
    while say().await.is_ok() {}
    assert!(matches!(say().await, Err(SubmitError::FileStuck)));
    replica.pull_from(&other).await;
    assert_eq!(replica.log.head().vector.get(other.log.origin()), 1);

    // The blocked read ends without data, and the file is whole again.
    fs::rename(&kept, file.with_extension("whole")).unwrap();
    let pipe = fs::File::options().write(true).open(&file).unwrap();
    fs::rename(file.with_extension("whole"), &file).unwrap();
    drop(pipe);
    eventually("the file is written again", async || say().await.is_ok()).await;
    replica.close().await;
    other.close().await;
}

/// Unblocks the readers of this pipe when dropped, so that a failing test ends too.
struct Released<'a>(&'a Path);

impl Drop for Released<'_> {
    fn drop(&mut self) {
        let at_once = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK;
        // After a successful test no reader is left.
        let _ = rustix::fs::open(self.0, at_once, rustix::fs::Mode::empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_covers_the_last_write_soon_without_a_later_one() {
    let store = Store::create(1).await;
    let replica = store.open().await;
    replica.join("lobby", "anna").await;
    // The file is written for the first post only, and not again at once.
    for _ in 0..3 {
        replica.say("lobby", "anna", "hello").await;
    }

    let file = store.options.data_dir.join("identity.json");
    let shows_all = async || {
        fs::read_to_string(&file)
            .unwrap()
            .contains("\"seq_seen\":4")
    };
    // Sooner than with the next check of the database, which comes after five seconds.
    let soon = timeout(
        Duration::from_secs(4),
        eventually("the file covers all writes", shows_all),
    );
    soon.await.expect("the file is written soon");
    replica.close().await;
}
