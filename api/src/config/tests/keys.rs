use std::fs;
use std::path::Path;

use super::{Config, GOOD, parse, parse_with};

#[test]
fn a_key_can_lie_in_a_file_and_a_variable_overrules_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    fs::write(&file, "a key in a file, which is long enough\n").unwrap();
    permit(&file, 0o640);
    let line = format!("cluster_key_file = {:?}", file.to_str().unwrap());
    let toml = GOOD.replace(r#"cluster_key = "0123456789abcdef0123456789abcdef""#, &line);

    let from_file = parse(&toml).unwrap();
    let key = "a key in a variable, which is long enough";
    let from_variable = parse_with(&toml, &[("CAUSEWAY_CLUSTER_KEY", key)]).unwrap();

    assert_eq!(
        from_file.cluster_key.bytes(),
        b"a key in a file, which is long enough"
    );
    assert_eq!(from_variable.cluster_key.bytes(), key.as_bytes());
}

#[test]
fn a_path_in_the_file_is_relative_to_the_folder_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("key"),
        "a key in a file, which is long enough",
    )
    .unwrap();
    permit(&folder.path().join("key"), 0o600);
    let toml = GOOD
        .replace(
            r#"cluster_key = "0123456789abcdef0123456789abcdef""#,
            "cluster_key_file = 'key'",
        )
        .replace(
            "[[replicas]]\nid = 2",
            "[tls]\ncertificate = 'a.crt'\nkey = '/etc/a.key'\n[[replicas]]\nid = 2",
        );
    let path = folder.path().join("causeway.toml");
    fs::write(&path, toml).unwrap();

    let config = Config::load(&path).unwrap();

    let tls = config.tls.unwrap();
    assert_eq!(tls.certificate, folder.path().join("a.crt"));
    assert_eq!(tls.key, Path::new("/etc/a.key"));
    assert!(config.cluster_key.bytes().starts_with(b"a key in a file"));
    assert_eq!(config.data_dir, Path::new("data/2"));
}

#[test]
fn a_key_never_shows_itself() {
    assert!(!format!("{:?}", parse(GOOD).unwrap()).contains("0123456789"));
}

#[test]
fn a_key_that_others_can_read_is_refused_in_its_file_and_reported_in_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, "a key in a file, which is long enough").unwrap();
    permit(&key, 0o644);
    let line = format!("cluster_key_file = {:?}", key.to_str().unwrap());
    let toml = GOOD.replace(r#"cluster_key = "0123456789abcdef0123456789abcdef""#, &line);
    let refused = parse(&toml).unwrap_err().to_string();
    assert!(refused.contains("`cluster_key_file`"), "{refused}");
    assert!(refused.contains("chmod o= "), "{refused}");

    let settings = folder.path().join("causeway.toml");
    fs::write(&settings, GOOD).unwrap();
    permit(&settings, 0o644);
    let warnings = Config::load(&settings).unwrap().warnings;
    assert!(warnings[0].contains("chmod o= "), "{warnings:?}");
    permit(&settings, 0o640);
    assert_eq!(Config::load(&settings).unwrap().warnings, [""; 0]);
}

fn permit(file: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
}
