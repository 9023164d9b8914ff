//! The file beside the database cannot be written: without it a database that is put back would not
//! be seen to lack what was written meanwhile.

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

    // Nothing can be written to a folder, not even by root.
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let mut written = 0;
    let refused = loop {
        match say().await {
            Ok(_) => written += 1,
            Err(refused) => break refused,
        }
        assert!(written < 1_000, "it is not noticed");
    };
    assert!(matches!(refused, SubmitError::FileStuck));
    assert!(replica.log.is_file_stuck());
    // The one that found it out was written, and is not told to be.
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
        answered.expect("a file that hangs holds up no answer for long")
    };

    // Nobody writes to this pipe, so that whoever opens it waits.
    let kept = file.with_extension("kept");
    fs::rename(&file, &kept).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &file, rustix::fs::Mode::RUSR).unwrap();
    let _released = Released(&file);
    while say().await.is_ok() {}
    assert!(matches!(say().await, Err(SubmitError::FileStuck)));
    replica.pull_from(&other).await;
    assert_eq!(replica.log.head().vector.get(other.log.origin()), 1);

    // What hung reads nothing, and the file is whole again.
    fs::rename(&kept, file.with_extension("whole")).unwrap();
    let pipe = fs::File::options().write(true).open(&file).unwrap();
    fs::rename(file.with_extension("whole"), &file).unwrap();
    drop(pipe);
    eventually("being tried again", async || say().await.is_ok()).await;
    replica.close().await;
    other.close().await;
}

/// Lets go whoever waits for this pipe, also when the test fails: else it would not end.
struct Released<'a>(&'a Path);

impl Drop for Released<'_> {
    fn drop(&mut self) {
        let at_once = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK;
        // Nobody waits for it any more where the test went well.
        let _ = rustix::fs::open(self.0, at_once, rustix::fs::Mode::empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_shows_the_last_write_soon_also_where_nobody_writes_after_it() {
    let store = Store::create(1).await;
    let replica = store.open().await;
    replica.join("lobby", "anna").await;
    // The file is written for the first of them, and not again so soon.
    for _ in 0..3 {
        replica.say("lobby", "anna", "hello").await;
    }

    let file = store.options.data_dir.join("identity.json");
    let shows_all = async || {
        fs::read_to_string(&file)
            .unwrap()
            .contains("\"seq_seen\":4")
    };
    // Sooner than it would be written anyhow, with the next look at the database after five seconds.
    let soon = timeout(
        Duration::from_secs(4),
        eventually("the file catching up", shows_all),
    );
    soon.await.expect("the file is written soon");
    replica.close().await;
}
