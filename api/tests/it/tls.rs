//! The public port over TLS: what is served, what is reloaded, and what is refused at the start.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use reqwest::Method;
use reqwest::tls::TlsInfo;

use crate::bad_settings::one_sentence;
use crate::harness::{
    Certificates, Cluster, Door, Replica, eventually, run_to_its_end, texts, write,
};

const DAY_MS: i64 = 24 * 3_600 * 1_000;

#[tokio::test]
async fn clients_are_served_over_tls_and_changed_files_are_used_without_a_restart() {
    let mut replica = Replica::prepare().await;
    let certificates = Certificates::of([&replica.settings]);
    replica.secure(&certificates);
    replica.restart().await;
    let ann = replica.member("ann", "lobby").await;
    ann.says("lobby", "in confidence").await;
    assert_eq!(texts(&ann.history("lobby").await), ["in confidence"]);
    let view = ann.view().await;
    assert_eq!(view["alarms"].as_array().map(Vec::len), Some(0), "{view}");
    assert!(
        replica
            .metric("causeway_certificate_not_after_seconds")
            .await
            > 3_000_000_000
    );
    let first = presented(&replica.door).await;

    certificates.renew();

    eventually("the new certificate being used", async || {
        let now = presented(&replica.door.anew()).await;
        if now == first {
            Err("it is the former one".into())
        } else {
            Ok(())
        }
    })
    .await;
    fs::write(certificates.file("causeway-1.key"), "nonsense").expect("it is ours");
    eventually("an alarm about files that cannot be used", async || {
        let view = ann.view().await.to_string();
        if view.contains("certificate_rejected") && view.contains("`tls.key`") {
            Ok(())
        } else {
            Err(view)
        }
    })
    .await;
    assert_eq!(texts(&ann.anew().history("lobby").await), ["in confidence"]);
}

#[tokio::test]
async fn a_certificate_that_expires_soon_raises_an_alarm() {
    let mut replica = Replica::prepare().await;
    let certificates = Certificates::of([&replica.settings]);
    replica.secure(&certificates);
    let clock = certificates.file("offset");
    fs::write(&clock, (710 * DAY_MS).to_string()).expect("it is ours");
    replica.settings.more = format!("clock_offset_file = {clock:?}\n");
    replica.restart().await;

    let view = replica.user("ann").await.view().await.to_string();

    assert!(
        view.contains("certificate_expires") && view.contains("in 19 days"),
        "{view}"
    );
    assert_eq!(
        replica
            .metric("causeway_alarms{kind=\"certificate_expires\"}")
            .await,
        2
    );
    replica.stop().await;
    let config = write(&replica.settings);
    let output = run_to_its_end(&["check", "--config", text(&config)], &[]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("WRONG  certificate of the public port"),
        "{said}"
    );
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_refused_at_the_start_in_one_sentence() {
    let mut replica = Replica::prepare().await;
    let certificates = Certificates::of([&replica.settings]);
    replica.secure(&certificates);
    let config = write(&replica.settings);
    let (certificate, key) = (
        certificates.file("causeway-1.crt"),
        certificates.file("causeway-1.key"),
    );
    let good = (fs::read(&certificate).unwrap(), fs::read(&key).unwrap());
    let clock = certificates.file("offset");
    let refused = |offset_days: i64, named: &str, why: &str| {
        fs::write(&clock, (offset_days * DAY_MS).to_string()).unwrap();
        let offset = [("CAUSEWAY_CLOCK_OFFSET_FILE", text(&clock))];
        let output = run_to_its_end(&["run", "--config", text(&config)], &offset);
        let said = one_sentence(&output);
        assert!(said.contains(named) && said.contains(why), "{said}");
        assert!(
            !replica.settings.data_dir.exists(),
            "nothing is made before"
        );
    };

    refused(731, "`tls.certificate`", "expired at");
    refused(-3, "`tls.certificate`", "correct the clock");
    fs::write(&certificate, "nonsense").unwrap();
    refused(0, "`tls.certificate`", "no certificate");
    fs::write(
        &certificate,
        fs::read(certificates.file("causeway-1-peer.crt")).unwrap(),
    )
    .unwrap();
    refused(0, "`tls.key`", "is not the key of");
    fs::write(&certificate, &good.0).unwrap();
    fs::write(&key, "").unwrap();
    refused(0, "`tls.key`", "no private key");
    fs::write(&key, &good.1).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    refused(0, "`tls.key`", "chmod");
    fs::remove_file(&key).unwrap();
    refused(0, "`tls.key`", "No such file");
}

#[tokio::test]
async fn what_init_writes_serves_where_it_lies() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let conf = folder.path().join("conf");
    let hosts = [
        "init",
        "--replicas",
        "127.0.0.1,127.0.0.2",
        "--out",
        text(&conf),
    ];
    let output = run_to_its_end(&hosts, &[]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("--ca"), "{said}");

    // From another folder, as the page says; a relative data_dir is of the working directory.
    let config = conf.join("causeway-1.toml");
    let output = run_to_its_end(&["check", "--config", text(&config)], &[]);

    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for fine in [
        "certificate of the public port",
        "certificate of the peers port",
        "certificate for https://127.0.0.1:12000",
    ] {
        assert!(said.contains(&format!("ok     {fine}")), "{said}");
    }
    let mode = |name: &str| fs::metadata(conf.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode("ca.key"), mode("causeway-2.key")], [0o600; 2]);
    let again = run_to_its_end(&hosts, &[]);
    assert!(one_sentence(&again).contains("there already"));
}

#[tokio::test]
async fn a_cluster_moves_from_plain_text_to_tls_one_replica_after_the_other() {
    let mut cluster = Cluster::of(3).await;
    let certificates = cluster.certificates();
    let ann = cluster.member_everywhere("ann", "lobby").await.remove(0);
    ann.says("lobby", "in plain text").await;
    let mut count = 1;

    for (number, plain) in [(1, &[2, 3][..]), (2, &[3]), (3, &[])] {
        cluster.at_mut(number).stop().await;
        cluster.at_mut(number).secure_among(&certificates, plain);
        cluster.restart(number).await;
        // One direction is enough, for what is written on either side.
        for writer in [number, number % 3 + 1] {
            let text = format!("{number} has changed, says {writer}");
            ann.at(cluster.at(writer)).says("lobby", &text).await;
            count += 1;
        }
        cluster.agree(&[1, 2, 3], "lobby", count).await;
    }
    for number in [1, 2] {
        cluster.at_mut(number).stop().await;
        cluster.at_mut(number).secure(&certificates);
        cluster.restart(number).await;
    }

    cluster.sees_itself_whole().await;
    ann.at(cluster.at(2))
        .says("lobby", "all of it encrypted")
        .await;
    cluster.agree(&[1, 2, 3], "lobby", count + 1).await;
}

/// The certificate that a new connection is shown.
async fn presented(door: &Door) -> Vec<u8> {
    let answer = door.anew().request(Method::GET, "/healthz").send().await;
    let answer = answer.expect("the server answers");
    let info = answer
        .extensions()
        .get::<TlsInfo>()
        .expect("it is over TLS");
    info.peer_certificate().expect("servers show one").to_vec()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}
