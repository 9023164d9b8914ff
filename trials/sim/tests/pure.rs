//! The crates that the simulator drives depend on no database, network or async runtime, so no
//! decision is reimplemented here.

use std::collections::BTreeSet;
use std::env;
use std::process::Command;

/// Crates that a pure crate must not depend on directly. cqrs-es pulls in tokio, for its locks.
const SHELLS: [&str; 6] = ["hyper", "poem", "postgres-es", "reqwest", "sqlx", "tokio"];

#[test]
fn the_pure_crates_use_no_shell() {
    for crate_name in ["causeway-domain", "causeway-replicator-core"] {
        let used = dependencies(crate_name, &["--depth", "1"]);

        for shell in SHELLS {
            assert!(!used.contains(shell), "{crate_name} depends on {shell}");
        }
    }
}

#[test]
fn the_simulator_is_built_of_the_pure_crates_alone() {
    let used = dependencies("causeway-sim", &[]);

    let ours = used.iter().filter(|name| name.starts_with("causeway-"));
    let pure = [
        "causeway-domain",
        "causeway-replicator-core",
        "causeway-sim",
    ];
    assert!(ours.eq(pure), "{used:?}");
    for shell in SHELLS.into_iter().filter(|name| *name != "tokio") {
        let parts = format!("{shell}-");
        let is_of_it = |name: &&String| *name == shell || name.starts_with(&parts);
        assert_eq!(used.iter().find(is_of_it), None);
    }
}

/// The names of a crate and of its dependencies.
fn dependencies(crate_name: &str, arguments: &[&str]) -> BTreeSet<String> {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let tree = Command::new(cargo)
        .args(["tree", "--offline", "--locked", "--edges", "normal"])
        .args(["--prefix", "none", "--format", "{p}"])
        .args(["--package", crate_name])
        .args(arguments)
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&tree.stderr);
    assert!(tree.status.success(), "{errors}");
    let lines = String::from_utf8(tree.stdout).expect("names are text");
    let names = lines.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}
