use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::tls::Certificates;

const NOW_MS: u64 = 1_800_000_000_000;

#[test]
fn each_host_gets_a_private_file_that_is_accepted_and_all_share_one_new_key() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("conf");

    let three = hosts(&["a.example", "10.0.0.2", "[fd00::3]"]);
    let written = init("demo", &three, &out, NOW_MS).unwrap().configurations;

    let read: Vec<Config> = written.iter().map(|path| load(path)).collect();
    let numbers: Vec<u16> = read.iter().map(|config| config.replica.get()).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert!(
        read.iter()
            .all(|config| config.cluster_key == read[0].cluster_key)
    );
    assert_eq!(read[0].replicas, read[2].replicas);
    assert_eq!(
        fs::metadata(&written[0]).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_ne!(new_key().unwrap(), new_key().unwrap());
}

#[test]
fn existing_files_are_never_overwritten() {
    let root = tempfile::tempdir().unwrap();
    let two = hosts(&["a", "b"]);
    init("demo", &two, root.path(), NOW_MS).unwrap();

    let refused = init("demo", &two, root.path(), NOW_MS)
        .unwrap_err()
        .to_string();

    assert!(refused.contains("causeway-1.toml"), "{refused}");
}

#[test]
fn an_invalid_host_is_refused_by_name() {
    let root = tempfile::tempdir().unwrap();
    for wrong in [
        "",
        "a:1",
        "http://a",
        "a b",
        "a/b",
        "x@y",
        "fd00::3",
        "replica-2.causeway",
    ] {
        let refused = init("demo", &hosts(&["good", wrong]), root.path(), NOW_MS)
            .unwrap_err()
            .to_string();
        assert!(refused.contains(&format!("`{wrong}`")), "{refused}");
    }
    assert!(init("demo", &hosts(&["a", "A"]), root.path(), NOW_MS).is_err());
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn every_server_can_use_its_certificates_and_no_other_host_or_replica_can() {
    let root = tempfile::tempdir().unwrap();
    let three = hosts(&["a.example", "10.0.0.2", "[fd00::3]"]);

    let written = init("demo", &three, root.path(), NOW_MS).unwrap();

    for (path, host) in written.configurations.iter().zip(&three) {
        let config = load(path);
        let certificates = Certificates::open(&config, NOW_MS).unwrap();
        let public = certificates.public.unwrap().identity();
        assert!(public.is_for(host) && !public.is_for("b.example"));
        let mut other = config.clone();
        other.replica = ReplicaId::new(config.replica.get() % 3 + 1).unwrap();
        Certificates::open(&other, NOW_MS).unwrap_err();
    }
    for (name, mode) in [
        ("ca.key", 0o600),
        ("causeway-1.key", 0o600),
        ("causeway-3-peer.key", 0o600),
    ] {
        let found = fs::metadata(root.path().join(name)).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, mode, "{name}");
    }
    let said = next_steps(&written);
    let ca = root.path().join("ca.crt").display().to_string();
    assert!(
        said.contains(&format!(
            "causeway --server https://a.example:12000 --ca {ca}"
        )),
        "{said}"
    );
    assert!(said.contains("ca.key offline"), "{said}");
}

#[test]
fn a_host_on_loopback_listens_on_its_own_address_only() {
    let root = tempfile::tempdir().unwrap();
    let all = hosts(&[
        "127.0.0.1",
        "127.0.0.2",
        "[::1]",
        "localhost",
        "b",
        "[fd00::6]",
    ]);

    let written = init("demo", &all, root.path(), NOW_MS)
        .unwrap()
        .configurations;

    let listens: Vec<String> = written
        .iter()
        .map(|path| load(path).public_listen.to_string())
        .collect();
    assert_eq!(
        listens,
        [
            "127.0.0.1:12000",
            "127.0.0.2:12000",
            "[::1]:12000",
            "127.0.0.1:12000",
            "0.0.0.0:12000",
            "[::]:12000"
        ]
    );
    assert_eq!(load(&written[1]).data_dir, Path::new("data/2"));
    assert_eq!(load(&written[4]).data_dir, Path::new("data"));
    let alone = root.path().join("alone");
    let written = init("demo", &all[..1], &alone, NOW_MS)
        .unwrap()
        .configurations;
    assert_eq!(load(&written[0]).data_dir, Path::new("data"));
}

#[test]
fn renewed_certificates_are_of_the_same_authority_and_include_an_added_replica() {
    let root = tempfile::tempdir().unwrap();
    let written = init("demo", &hosts(&["a", "b"]), root.path(), NOW_MS)
        .unwrap()
        .configurations;
    let text = fs::read_to_string(&written[1]).unwrap();
    let third = text
        .replace("causeway-2", "causeway-3")
        .replace("replica = 2", "replica = 3")
        + "\n[[replicas]]\nid = 3\npublic_url = \"https://c:12000\"\ninternal_url = \"https://c:11000\"\n";
    let path = root.path().join("causeway-3.toml");
    fs::write(&path, third).unwrap();
    let ca = fs::read_to_string(root.path().join("ca.crt")).unwrap();

    let later = NOW_MS + 700 * 24 * 3_600 * 1_000;
    let renewed = renew(root.path(), false, later).unwrap();

    assert_eq!(fs::read_to_string(root.path().join("ca.crt")).unwrap(), ca);
    for path in [&written[0], &written[1], &path] {
        let certificates = Certificates::open(&load(path), later).unwrap();
        let identity = certificates.public.unwrap().identity();
        assert_eq!(
            identity.expiry("public", i64::try_from(later).unwrap()),
            None
        );
    }
    assert!(renewed.next_steps().contains("causeway-3-peer.crt"));
    fs::remove_file(root.path().join("ca.key")).unwrap();
    let refused = renew(root.path(), false, later).unwrap_err().to_string();
    assert!(
        refused.contains("ca.key") && refused.contains("--new-authority"),
        "{refused}"
    );
    let refused = renew(root.path(), true, later).unwrap_err().to_string();
    assert!(refused.contains("ca.crt"), "{refused}");
}

#[test]
fn a_cluster_without_tls_is_given_an_authority_and_certificates() {
    let root = tempfile::tempdir().unwrap();
    let plain = "cluster = 'c'\nreplica = 1\ndata_dir = 'data'\nauth = 'open'\n\
        public_listen = '0.0.0.0:12000'\ninternal_listen = '0.0.0.0:11000'\n\
        cluster_key = 'a key for tests, longer than thirty-two bytes'\n";
    let replicas =
        "[[replicas]]\nid = 1\npublic_url = 'http://a:12000'\ninternal_url = 'http://a:11000'\n";
    let path = root.path().join("causeway-1.toml");
    fs::write(&path, format!("{plain}{replicas}")).unwrap();

    let renewed = renew(root.path(), true, NOW_MS).unwrap();

    let said = renewed.next_steps();
    let tables = said
        .split_once("[tls]")
        .unwrap()
        .1
        .split_once("Keep")
        .unwrap()
        .0;
    let tables = format!("[tls]{tables}").replace("-N", "-1");
    fs::write(
        &path,
        format!("{plain}{tables}{replicas}").replace("http:", "https:"),
    )
    .unwrap();
    Certificates::open(&load(&path), NOW_MS).unwrap();
}

fn load(path: &Path) -> Config {
    let text = fs::read_to_string(path).unwrap();
    Config::parse_in(path.parent().unwrap(), &text, std::iter::empty()).unwrap()
}

fn hosts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
