//! Who may use a private Postgres and its folder, and what its processes know.

use std::fs;
use std::path::Path;
use std::process::Command;

use causeway_postgres::{Cancel, Options, PrivatePostgres, StartError};
use sqlx::{Connection, PgConnection};

use crate::support::{
    Owner, Root, answer, is_reachable, processes_of, run, start, text, wait_until, within,
};

#[test]
fn its_processes_know_nothing_of_the_environment_of_their_owner() {
    let root = Root::new();
    let owner = Owner::of(&root.data());
    assert!(is_reachable(&owner.1));

    let environments = environments_in(&root.data());

    // The guard, its watch, and Postgres with its processes. On Linux only.
    assert!(environments.len() > 3 || !cfg!(target_os = "linux"));
    for environment in environments {
        for variable in environment.split('\0').filter(|it| it.contains('=')) {
            let name = variable.split('=').next().unwrap();
            let needed = [
                "PATH",
                "LD_LIBRARY_PATH",
                "LC_ALL",
                "GUARD",
                "PWD",
                "_",
                "OLDPWD",
            ];
            let is_of_postgres = name.starts_with("PG") || name.starts_with("LC_");
            assert!(needed.contains(&name) || is_of_postgres, "{variable}");
        }
    }
}

#[test]
fn only_the_account_of_the_owner_gets_in_and_not_as_a_superuser() {
    let root = Root::new();
    let postgres = start(&root.data()).unwrap();
    let query = "SELECT rolsuper::text FROM pg_roles WHERE rolname = current_user";

    assert_eq!(text(&postgres.url(), query), "false");
    let refused = refusal(&postgres.superuser_url());
    assert!(refused.contains("authentication failed"), "{refused}");
    let rules = fs::read_to_string(root.data().join("cluster/pg_hba.conf")).unwrap();
    assert!(!rules.contains("trust"), "{rules}");
    // Another account than ours, where we are root: the one that runs Postgres itself.
    if rustix::process::geteuid().is_root() && Path::new("/usr/bin/psql").exists() {
        let url = postgres.url();
        let as_postgres = [
            "-u",
            "postgres",
            "--",
            "psql",
            "--no-psqlrc",
            &url,
            "-c",
            "SELECT 1",
        ];
        let tried = Command::new("runuser").args(as_postgres).output().unwrap();
        let said = String::from_utf8_lossy(&tried.stderr).into_owned();
        assert!(
            !tried.status.success() && said.contains("authentication"),
            "{said}"
        );
    }
}

#[test]
fn a_cluster_of_the_first_versions_keeps_its_tables_and_loses_its_privileges() {
    let root = Root::new();
    let options = Options {
        superuser: true,
        ..Options::default()
    };
    let postgres = PrivatePostgres::start(&root.data(), &options).unwrap();
    // As `initdb --username=causeway` made it.
    run(
        &postgres.superuser_url(),
        "CREATE ROLE once SUPERUSER; REASSIGN OWNED BY causeway TO once;
         ALTER DATABASE postgres OWNER TO postgres; DROP ROLE causeway;
         SET SESSION AUTHORIZATION once; ALTER ROLE postgres RENAME TO causeway;
         CREATE TABLE kept AS SELECT 42 AS answer;
         ALTER TABLE kept OWNER TO causeway",
    );
    postgres.stop();
    fs::remove_file(root.data().join("cluster/causeway-roles.sql")).unwrap();

    let postgres = start(&root.data()).unwrap();

    let query = "SELECT rolsuper::text FROM pg_roles WHERE rolname = current_user";
    assert_eq!(text(&postgres.url(), query), "false");
    assert_eq!(answer(&postgres.url()), 42);
    run(&postgres.url(), "ALTER TABLE kept ADD COLUMN another int");
}

#[test]
fn a_start_that_is_cancelled_leaves_nothing_running_and_the_next_one_works() {
    let root = Root::new();
    let cancel = Cancel::default();
    let (dir, asked) = (root.data(), cancel.clone());
    let starting = std::thread::spawn(move || {
        PrivatePostgres::start_unless(&dir, &Options::default(), &asked)
    });
    wait_until("something runs", || !processes_of(&root.data()).is_empty());

    cancel.request();
    let outcome = starting.join().unwrap();

    assert!(matches!(outcome, Err(StartError::Cancelled)), "{outcome:?}");
    assert_eq!(processes_of(&root.data()), [""; 0]);
    assert!(is_reachable(&start(&root.data()).unwrap().url()));
}

#[test]
fn the_folder_of_another_account_is_refused_and_left_as_it_is() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("only root has folders of other accounts");
        return;
    }
    let root = Root::new();
    start(&root.data()).unwrap().stop();
    own(&root.data(), 54_321);
    let before = listing(&root.0);

    let refused = start(&root.data()).unwrap_err();

    let said = refused.to_string();
    assert!(said.contains("belongs to the account `54321`"), "{said}");
    assert_eq!(listing(&root.0), before);
}

/// The environments of all processes that name the folder or work in it.
fn environments_in(dir: &Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let of_dir = processes.filter(|process| {
        let command = fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        let works_in = fs::read_link(process.path().join("cwd")).unwrap_or_default();
        command.contains(&*dir.to_string_lossy()) || works_in.starts_with(dir)
    });
    let environments = of_dir.map(|process| fs::read(process.path().join("environ")));
    let environments = environments.filter_map(Result::ok);
    environments
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect()
}

/// Gives a folder with all that is in it to another account.
fn own(dir: &Path, uid: u32) {
    let owner = format!("{uid}:{uid}");
    let given = Command::new("chown").arg("-R").arg(owner).arg(dir).status();
    assert!(given.unwrap().success());
}

/// Every file below a folder, with its owner, permissions and time of change.
fn listing(dir: &Path) -> String {
    let format = "%p %U %m %C@\\n";
    let found = Command::new("find")
        .arg(dir)
        .args(["-printf", format])
        .output()
        .unwrap();
    String::from_utf8(found.stdout).unwrap()
}

fn refusal(url: &str) -> String {
    within(async { PgConnection::connect(url).await.unwrap_err().to_string() })
}
