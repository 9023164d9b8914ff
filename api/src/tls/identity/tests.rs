use std::fs;

use tempfile::TempDir;

use super::*;
use crate::init::issue::{Authority, Pair};
use crate::tls::ReloadingCertificate;

const NOW_MS: u64 = 1_800_000_000_000;
const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// A folder with an authority, and files that a test writes.
struct Files {
    folder: TempDir,
    authority: Authority,
}

impl Files {
    fn new() -> Self {
        let (authority, ca) = Authority::new("demo", NOW_MS).unwrap();
        let files = Self {
            folder: tempfile::tempdir().unwrap(),
            authority,
        };
        files.write("ca.crt", &ca.certificate);
        files
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn pair(&self, pair: &Pair) {
        self.write("own.crt", &pair.certificate);
        self.write("own.key", &pair.key);
    }

    fn public(&self) -> Source {
        Source {
            table: "tls",
            own: CertificateFiles {
                certificate: self.folder.path().join("own.crt"),
                key: self.folder.path().join("own.key"),
            },
            peers: None,
        }
    }

    fn peers(&self, number: u16) -> Source {
        Source {
            table: "peer_tls",
            peers: Some((self.folder.path().join("ca.crt"), replica(number))),
            ..self.public()
        }
    }
}

#[test]
fn what_was_issued_can_be_used_by_its_host_and_by_its_replica_only() {
    let files = Files::new();
    for host in ["a.example", "10.0.0.2", "[fd00::3]"] {
        files.pair(&files.authority.public(replica(1), host, NOW_MS).unwrap());
        let identity = used(&files.public(), NOW_MS);
        assert!(identity.is_for(host) && !identity.is_for("b.example"));
        assert_eq!(
            identity.not_after_ms,
            i64::try_from(NOW_MS + 730 * DAY_MS).unwrap()
        );
        refused(
            &files.peers(1),
            "peer_tls.certificate",
            "lacks the name replica-1.causeway",
        );
    }

    files.pair(&files.authority.peer(replica(2), NOW_MS).unwrap());

    assert!(used(&files.peers(2), NOW_MS).verifiers.is_some());
    refused(
        &files.peers(1),
        "peer_tls.certificate",
        "not the one of replica 1",
    );
}

#[test]
fn a_clock_that_is_a_day_late_does_no_harm_and_one_that_is_further_off_is_named() {
    let files = Files::new();
    files.pair(&files.authority.public(replica(1), "a", NOW_MS).unwrap());

    used(&files.public(), NOW_MS - DAY_MS);

    let identity = used(&files.public(), NOW_MS);
    let expiry = |days: u64| {
        let now_ms = i64::try_from(NOW_MS + days * DAY_MS).unwrap();
        identity.expiry("public", now_ms).unwrap_or_default()
    };
    assert_eq!(expiry(699), "");
    assert!(expiry(701).contains("expires in 29 days"));
    assert!(expiry(731).contains("expired at"));

    refused_at(
        NOW_MS - 3 * DAY_MS,
        &files.public(),
        "tls.certificate",
        "correct the clock",
    );
    refused_at(
        NOW_MS + 731 * DAY_MS,
        &files.public(),
        "tls.certificate",
        "renew-certificates",
    );
}

#[test]
fn each_file_that_cannot_be_used_is_named_with_what_is_wrong() {
    let files = Files::new();
    let good = files.authority.peer(replica(1), NOW_MS).unwrap();
    let other = files.authority.peer(replica(1), NOW_MS).unwrap();
    let (_, foreign) = Authority::new("demo", NOW_MS).unwrap();
    let own = files.peers(1);
    let cases = [
        (
            "own.crt",
            "",
            "peer_tls.certificate",
            "no certificate in the PEM format",
        ),
        (
            "own.crt",
            &good.key,
            "peer_tls.certificate",
            "no certificate in the PEM format",
        ),
        (
            "own.crt",
            &other.certificate,
            "peer_tls.key",
            "is not the key of the certificate",
        ),
        (
            "own.key",
            &good.certificate,
            "peer_tls.key",
            "no private key",
        ),
        (
            "own.key",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "peer_tls.key",
            "passphrase",
        ),
        (
            "ca.crt",
            "nonsense",
            "peer_tls.ca",
            "no certificate in the PEM format",
        ),
        (
            "ca.crt",
            &foreign.certificate,
            "peer_tls.certificate",
            "was not issued by the authority",
        ),
    ];
    for (name, text, key, why) in cases {
        let files_again = files.folder.path();
        let former = fs::read_to_string(files_again.join("ca.crt")).unwrap();
        files.pair(&good);
        used(&own, NOW_MS);
        files.write(name, text);
        refused(&own, key, why);
        files.write("ca.crt", &former);
    }
    files.pair(&good);
    fs::remove_file(files.folder.path().join("own.crt")).unwrap();
    refused(&own, "peer_tls.certificate", "No such file");
}

#[test]
fn a_key_that_everybody_can_read_is_refused_and_one_for_a_group_is_not() {
    let files = Files::new();
    files.pair(&files.authority.public(replica(1), "a", NOW_MS).unwrap());
    let key = files.folder.path().join("own.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    used(&files.public(), NOW_MS);

    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();

    refused(&files.public(), "tls.key", "chmod o=");
}

#[test]
fn changed_files_are_used_and_bad_ones_replace_nothing() {
    let files = Files::new();
    let [first, second] =
        [(); 2].map(|()| files.authority.public(replica(1), "a", NOW_MS).unwrap());
    files.pair(&first);
    let certificate = ReloadingCertificate::open(files.public(), NOW_MS).unwrap();
    let shown = || certificate.identity().certified.cert[0].clone();
    let before = shown();

    // As while they are being copied.
    files.write("own.crt", &second.certificate);
    certificate.reread(NOW_MS);
    assert_eq!(shown(), before);
    assert!(certificate.rejected().unwrap().contains("`tls.key`"));

    files.write("own.key", &second.key);
    certificate.reread(NOW_MS);
    assert_ne!(shown(), before);
    assert_eq!(certificate.rejected(), None);

    fs::remove_file(files.folder.path().join("own.key")).unwrap();
    certificate.reread(NOW_MS);
    assert!(certificate.rejected().is_some());
    files.pair(&second);
    certificate.reread(NOW_MS);
    assert_eq!(certificate.rejected(), None);
}

#[test]
fn an_authority_that_was_stored_issues_what_its_peers_accept() {
    let (_, ca) = Authority::new("demo", NOW_MS).unwrap();
    let files = Files::new();
    files.write("ca.crt", &ca.certificate);
    let read = Authority::read("demo", &ca.certificate, &ca.key).unwrap();

    files.pair(&read.peer(replica(3), NOW_MS + DAY_MS).unwrap());

    used(&files.peers(3), NOW_MS + DAY_MS);
}

fn replica(number: u16) -> ReplicaId {
    ReplicaId::new(number).unwrap()
}

#[track_caller]
fn used(source: &Source, now_ms: u64) -> Identity {
    source.judge(&source.read().unwrap(), now_ms).unwrap()
}

#[track_caller]
fn refused(source: &Source, key: &str, why: &str) {
    refused_at(NOW_MS, source, key, why);
}

#[track_caller]
fn refused_at(now_ms: u64, source: &Source, key: &str, why: &str) {
    let judged = source.read().and_then(|pem| source.judge(&pem, now_ms));
    let error = judged.map(drop).unwrap_err().to_string();
    assert!(
        error.contains(&format!("`{key}`")) && error.contains(why),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1, "{error}");
}
