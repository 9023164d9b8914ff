//! A disk that fills up stops writing before it stops Postgres; reading goes on, nothing that was
//! acknowledged is lost, and room alone heals it.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::harness::{Answer, Cluster, Replica, User, all_at_once, eventually, ids, texts};

/// More than any disk has.
const NO_ROOM: &str = "[limits]\nmin_free_disk_bytes = 9223372036854775807\n";

#[tokio::test]
async fn a_replica_without_room_reads_streams_and_serves_pulls_and_takes_nothing() {
    let mut cluster = Cluster::of(2).await;
    let [ann, bob] = [
        cluster.member_everywhere("ann", "lobby").await,
        cluster.member_everywhere("bob", "lobby").await,
    ];
    cluster.isolate(1);
    let first = ann[0].says("lobby", "before").await;
    cluster.at_mut(1).settings.more = NO_ROOM.into();
    cluster.restart(1).await;
    let mut stream = ann[0].listens("lobby").await;
    stream.catches_up().await;

    takes_nothing(&ann[0], &bob[0], &first).await;
    cluster.heal();
    cluster.agree(&[2], "lobby", 1).await;
    bob[1].says("lobby", "for whoever has room").await;
    eventually("the other replica seeing what is missing", async || {
        let view = bob[0].view().await;
        let missing = &view["peers"][0]["missing_here"];
        if missing == 1 {
            Ok(())
        } else {
            Err(view.to_string())
        }
    })
    .await;
    assert_eq!(texts(&ann[0].history("lobby").await), ["before"]);
    let door = &cluster.at(1).door;
    assert_eq!(door.get("/readyz").await.status, 200);
    let metrics = door.get("/metrics").await.body;
    assert!(
        metrics.contains("\ncauseway_writes_stopped 1\n"),
        "{metrics}"
    );
    assert!(metrics.contains("\ncauseway_disk_free_bytes "), "{metrics}");
    let said = cluster.at(1).process().log();
    assert_eq!(said.matches("the disk is nearly full").count(), 1, "{said}");

    cluster.at_mut(1).settings.more.clear();
    cluster.restart(1).await;
    cluster.agree(&[1, 2], "lobby", 2).await;
    ann[0].says("lobby", "room again").await;
    cluster.agree(&[1, 2], "lobby", 3).await;
}

/// Asserts that every write is refused with 507 and every read succeeds.
async fn takes_nothing(ann: &User, bob: &User, message: &Value) {
    let text = serde_json::json!({ "text": "after" });
    let refused = |answer: Answer| {
        let detail = answer.refused(507, "disk_full");
        assert!(detail.contains("Write at another replica"), "{detail}");
    };
    refused(ann.post("/v1/groups/lobby/messages", &text).await);
    refused(ann.says_once("lobby", "after", "key").await);
    refused(ann.put("/v1/groups/attic/members/me").await);
    refused(ann.delete("/v1/groups/lobby/members/me").await);
    refused(bob.likes("lobby", &message["id"]).await);
    refused(bob.unlikes("lobby", &message["id"]).await);
    ann.snapshot("lobby").await;
    ann.get("/v1/groups").await.with(200);
    ann.get("/v1/server").await.with(200);
    ann.view().await;
    ann.message("lobby", &message["id"]).await;
}

#[tokio::test]
async fn a_small_disk_that_really_fills_up_loses_nothing_and_recovers_with_room() {
    let Some((mut replica, disk)) = on_a_small_disk().await else {
        return;
    };
    replica.restart().await;
    let ann = replica.member("ann", "lobby").await;

    disk.take();
    let (acknowledged, refused) = fill(&ann).await;
    assert!(refused.iter().all(|(_, status)| *status == 507));
    shows(&ann, &acknowledged).await;
    disk.make_room();

    let all = retried(&ann, acknowledged, refused).await;
    shows(&ann, &all).await;
    replica.restart().await;
    shows(&ann, &all).await;
    replica.stop().await;
}

#[tokio::test]
async fn a_postgres_that_ends_because_its_disk_is_full_comes_back_with_room() {
    let Some((mut replica, disk)) = on_a_small_disk().await else {
        return;
    };
    replica.settings.more = "[limits]\nmin_free_disk_bytes = 0\n".into();
    replica.restart().await;
    let ann = replica.member("ann", "lobby").await;

    disk.take();
    let (acknowledged, refused) = fill(&ann).await;
    assert!(
        refused.iter().all(|(_, it)| matches!(it, 503 | 507)),
        "{refused:?}"
    );
    assert_eq!(replica.door.get("/healthz").await.status, 200);
    disk.fill();
    write_ahead_until_it_fails(&replica).await;
    eventually("the end of Postgres being seen", async || {
        let said = replica.process().log();
        if said.contains("Postgres ended") {
            Ok(())
        } else {
            Err(said)
        }
    })
    .await;
    assert_eq!(replica.door.get("/healthz").await.status, 200);
    disk.make_room();

    let all = retried(&ann, acknowledged, refused).await;
    shows(&ann, &all).await;
    replica.stop().await;
}

/// Makes Postgres extend its write-ahead log, a failure of which must end it (F30).
async fn write_ahead_until_it_fails(replica: &Replica) {
    let socket = replica.settings.data_dir.join("postgres/socket");
    let options = PgConnectOptions::new().socket(socket);
    let options = options.username("causeway").database("postgres");
    let mut postgres = PgConnection::connect_with(&options).await.expect("it runs");
    for _ in 0..1_000 {
        let more = "SELECT pg_logical_emit_message(false, '', repeat('x', 1000000))";
        if sqlx::query(more).execute(&mut postgres).await.is_err() {
            return;
        }
    }
    panic!("there is room for a gigabyte");
}

/// A replica whose private Postgres keeps its data on a small disk; it does not run yet.
async fn on_a_small_disk() -> Option<(Replica, SmallDisk)> {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("only root can mount a small disk; the first test here tries the setting");
        return None;
    };
    let mut replica = Replica::prepare().await;
    replica.settings.database_url = None;
    replica.settings.data_dir = disk.path().join("data");
    Some((replica, disk))
}

/// Posts large messages, each with its text as key, until all are refused. Returns those that were
/// acknowledged, and the others with their status.
async fn fill(ann: &User) -> (Vec<Value>, Vec<(String, u16)>) {
    let writers = (0..4).map(|writer| async move {
        let mut acknowledged = Vec::new();
        for round in 0..20_000 {
            let key = format!("{writer} {round}");
            let answer = ann.says_once("lobby", &incompressible(&key), &key).await;
            if answer.status != 201 {
                return (acknowledged, (key, answer.status));
            }
            acknowledged.push(answer.json()["id"].clone());
        }
        panic!("the disk does not fill up");
    });
    let (acknowledged, refused): (Vec<_>, Vec<_>) = all_at_once(writers).await.into_iter().unzip();
    (acknowledged.concat(), refused)
}

/// Repeats refused messages until they are acknowledged; returns all acknowledged ones.
async fn retried(
    ann: &User,
    mut acknowledged: Vec<Value>,
    refused: Vec<(String, u16)>,
) -> Vec<Value> {
    for (key, _) in refused {
        let id = eventually("writing again", async || {
            let answer = ann.says_once("lobby", &incompressible(&key), &key).await;
            if matches!(answer.status, 200 | 201) {
                Ok(answer.json()["id"].clone())
            } else {
                Err(answer.body)
            }
        });
        acknowledged.push(id.await);
    }
    acknowledged
}

/// A text that Postgres cannot compress.
fn incompressible(seed: &str) -> String {
    let mut state = seed.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let letters = (0..3_900).map(|_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b'0' + u8::try_from((state >> 33) % 75).expect("it is small"))
    });
    letters.collect()
}

async fn shows(ann: &User, acknowledged: &[Value]) {
    let history = ann.history("lobby").await;
    let mut shown = ids(&history);
    let mut expected: Vec<&str> = acknowledged.iter().filter_map(|id| id.as_str()).collect();
    shown.sort_unstable();
    expected.sort_unstable();
    assert_eq!(shown, expected, "each once, none more");
}

/// A file system of 64 MiB in memory, unmounted on drop.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts it where that is allowed.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder can be made");
        // Postgres, which does not run as root, must reach its data.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).expect("it is ours");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64m,mode=755", "causeway-test"])
            .arg(folder.path())
            .output();
        mount
            .is_ok_and(|done| done.status.success())
            .then_some(Self { folder })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Another file fills a part of it, so that fewer messages are needed.
    fn take(&self) {
        std::fs::write(self.ballast(), vec![7; 20 * 1024 * 1024]).expect("there is room");
    }

    /// Another file fills the rest.
    fn fill(&self) {
        let ballast = std::fs::File::options().append(true).open(self.ballast());
        let mut rest = ballast.expect("a part is taken");
        while rest.write_all(&[7; 4_096]).is_ok() {}
    }

    fn make_room(&self) {
        std::fs::remove_file(self.ballast()).expect("it is there");
    }

    fn ballast(&self) -> std::path::PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
