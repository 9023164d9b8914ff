//! The port for peers over TLS, mutual: replicas prove their numbers, and nobody else is heard out.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{SystemTime, UNIX_EPOCH};

use causeway_api::config::Config;
use causeway_api::init::issue::Authority;
use causeway_api::keys::ClusterKeys;
use causeway_api::tls::{self, ReloadingCertificate, Source};
use causeway_domain::ids::ReplicaId;
use causeway_domain::version_vector::VersionVector;
use causeway_replicator::link::Link;
use causeway_replicator::link::http::HttpLink;
use causeway_replicator_core::auth::PeerKeys;
use causeway_replicator_core::failure::LinkError;
use causeway_replicator_core::instance::Instance;
use causeway_replicator_core::wire::{Caller, Refusal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Certificates, Cluster, Replica, User, eventually};

/// For how long the program issues certificates.
const VALIDITY_MS: u64 = 730 * 24 * 3_600 * 1_000;

#[tokio::test]
async fn replicas_that_prove_their_numbers_agree_and_others_are_refused_with_a_reason() {
    let mut cluster = Cluster::prepare(3).await;
    let certificates = certified(&cluster);
    for number in cluster.numbers() {
        cluster.at_mut(number).secure(&certificates);
    }
    cluster.start().await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    ann[0].says("lobby", "in confidence").await;
    cluster.agree(&[1, 2, 3], "lobby", 1).await;
    assert_eq!(alarms(&ann[0]).await, "[]");

    for stranger in [
        "GET /peer/v1/events HTTP/1.1\r\nhost: x\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /\r\n",
    ] {
        let answer = said(cluster.at(1), stranger.as_bytes()).await;
        assert!(
            answer.starts_with("HTTP/1.1 400"),
            "{stranger:?}: {answer:?}"
        );
        assert!(answer.contains("https"), "{answer}");
    }
    // A TLS record that is none, and one of the longest length.
    for junk in [&[22, 3, 1, 0, 4, 9, 9, 9, 9][..], &[22, 3, 1, 255, 255, 0]] {
        let answer = said(cluster.at(1), junk).await;
        assert!(!answer.contains("HTTP"), "{answer:?}");
    }

    // The right key, a proper certificate, and another's number.
    let third = own_certificate(cluster.at(3));
    let refused = pull_as(2, &cluster, Some(third)).await;
    let refusal = Refusal::WrongCertificate {
        claimed: id(2),
        certificate: Some(id(3)),
    };
    assert_eq!(refused, Err(LinkError::Refused(refusal)));
    eventually("an alarm", async || {
        let alarms = alarms(&ann[0]).await;
        let is_told = alarms.contains("certificate of replica `3`") && alarms.contains("refused");
        if is_told { Ok(()) } else { Err(alarms) }
    })
    .await;
    // The right key and a certificate that has expired, or none.
    let expiring = expiring(&cluster, &certificates).await;
    let shown = own_certificate(&expiring);
    eventually("the certificate having expired", async || {
        match pull_as(2, &cluster, Some(shown.clone())).await {
            Err(LinkError::Insecure(why)) if why.contains("out of date") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert!(pull_as(2, &cluster, None).await.is_err());

    ann[1].says("lobby", "undisturbed").await;
    cluster.agree(&[1, 2, 3], "lobby", 2).await;
}

#[tokio::test]
async fn a_replica_with_a_foreign_authority_stays_apart_and_both_sides_are_told_why() {
    let mut cluster = Cluster::prepare(3).await;
    let (ours, theirs) = (certified(&cluster), certified(&cluster));
    for (number, certificates) in [(1, &ours), (2, &ours), (3, &theirs)] {
        cluster.at_mut(number).secure(certificates);
    }
    cluster.start().await;
    let ann = cluster.at(1).member("ann", "lobby").await;
    let bob = cluster.at(3).member("bob", "lobby").await;
    ann.says("lobby", "among friends").await;
    bob.says("lobby", "alone").await;

    cluster.agree(&[1, 2], "lobby", 1).await;

    for (user, peer) in [(&ann, 3), (&bob, 1)] {
        eventually("both sides being told why", async || {
            let alarms = alarms(user).await;
            let is_told = alarms.contains(&format!("replica {peer} is not called"))
                && alarms.contains("authority");
            if is_told { Ok(()) } else { Err(alarms) }
        })
        .await;
    }
    assert_eq!(bob.history("lobby").await.len(), 1);
}

#[tokio::test]
async fn a_cluster_changes_from_plain_text_to_tls_one_replica_after_another() {
    let mut cluster = Cluster::of(3).await;
    let certificates = certified(&cluster);
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let mut count = 0;
    for round in ["certificates", "peers", "own"] {
        for number in cluster.numbers() {
            let settings = &mut cluster.at_mut(number).settings;
            if round == "certificates" {
                let mut secure = settings.clone();
                certificates.secure(&mut secure);
                let (_, peers) = secure.tables.split_once("[peer_tls]").expect("it has both");
                settings.tables = format!("\n[peer_tls]{peers}");
            }
            for (id, _, internal) in &mut settings.replicas {
                if (round == "peers" && *id != number) || (round == "own" && *id == number) {
                    *internal = internal.replace("http://", "https://");
                }
            }
            cluster.roll(number).await;
            ann[usize::from(number) - 1].says("lobby", round).await;
            count += 1;
            cluster.agree(&[1, 2, 3], "lobby", count).await;
        }
    }

    cluster.sees_itself_whole().await;
    let answer = said(cluster.at(1), b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

/// Has an authority and certificates made for all.
fn certified(cluster: &Cluster) -> Certificates {
    let numbers = cluster.numbers();
    Certificates::of(numbers.iter().map(|&number| &cluster.at(number).settings))
}

/// Pulls from replica 1 under a number.
async fn pull_as(
    number: u16,
    cluster: &Cluster,
    shown: Option<ReloadingCertificate>,
) -> Result<usize, LinkError> {
    let settings = &cluster.at(1).settings;
    let (secret, _) = ClusterKeys::new(settings.key.as_bytes(), None).peer_secrets();
    let caller = Caller {
        cluster: settings.cluster.clone(),
        replica: id(number),
        instance: Instance(99),
    };
    let url = format!("https://{}", cluster.at(1).process().internal);
    let tls = shown.map(|shown| tls::call_to(shown, id(1)).expect("it can be used"));
    let link = HttpLink::new(&url, id(1), caller, PeerKeys::new(&secret, None), tls);
    let pulled = link.pull(&VersionVector::default(), 10).await;
    pulled.map(|pulled| pulled.events.len())
}

/// The certificate that a replica shows its peers.
fn own_certificate(replica: &Replica) -> ReloadingCertificate {
    let toml = replica.settings.toml();
    let config = Config::parse(&toml, std::iter::empty()).expect("settings");
    let source = Source::peers(&config).expect("it has a table for it");
    ReloadingCertificate::open(source, now_ms()).expect("it is right")
}

/// Replica 2 as it would be with a certificate that expires in a few seconds. It does not run.
async fn expiring(cluster: &Cluster, certificates: &Certificates) -> Replica {
    let read = |name: &str| fs::read_to_string(certificates.file(name)).expect("it is there");
    let settings = &cluster.at(2).settings;
    let authority = Authority::read(&settings.cluster, &read("ca.crt"), &read("ca.key"));
    let authority = authority.expect("an authority");
    let pair = authority.peer(id(2), now_ms() - VALIDITY_MS + 5_000);
    let pair = pair.expect("it can be issued");
    let mut replica = Replica::prepare().await;
    let [certificate, key] = ["crt", "key"].map(|it| replica.settings.data_dir.with_extension(it));
    fs::write(&certificate, pair.certificate).expect("it is ours");
    fs::write(&key, pair.key).expect("it is ours");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("it is ours");
    replica.settings.replica = 2;
    replica.settings.replicas.clone_from(&settings.replicas);
    let ca = certificates.ca();
    let [ca, certificate, key] = [&ca, &certificate, &key].map(|path| path.display());
    replica.settings.tables =
        format!("\n[peer_tls]\nca = '{ca}'\ncertificate = '{certificate}'\nkey = '{key}'\n");
    replica
}

/// Says something on the port for peers; returns all that is answered.
async fn said(replica: &Replica, bytes: &[u8]) -> String {
    let internal = replica.process().internal;
    let mut socket = TcpStream::connect(internal).await.expect("a connection");
    socket.write_all(bytes).await.expect("it is taken");
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn alarms(user: &User) -> String {
    user.view().await["alarms"].to_string()
}

fn id(number: u16) -> ReplicaId {
    ReplicaId::new(number).expect("numbers begin at 1")
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("it is later than 1970");
    u64::try_from(now.as_millis()).expect("it is not that late")
}
