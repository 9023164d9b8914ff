//! A Postgres for tests, removed completely when the test process ends in any way.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::account::Account;
use crate::{Cancel, Options, PrivatePostgres};

/// A fast Postgres in a temporary folder, one per test process, with `fsync=off`.
#[derive(Debug)]
pub struct Disposable {
    postgres: PrivatePostgres,
}

impl Disposable {
    /// Returns the Postgres of this process, started at the first call. It takes 600 connections; each
    /// test makes databases of its own with `CREATE DATABASE`.
    ///
    /// # Panics
    ///
    /// When there are no Postgres programs on this machine, or they fail.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Disposable> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Returns the URL of the database `postgres`, for a superuser who may create and drop databases.
    pub fn url(&self) -> String {
        self.postgres.superuser_url()
    }

    /// Returns the URL of a database that the caller has created.
    pub fn database_url(&self, database: &str) -> String {
        self.postgres.superuser_url_of(database)
    }

    /// Starts a Postgres as somebody else sets it up: with the settings of `initdb`, called with
    /// these further arguments, and of Postgres.
    ///
    /// # Panics
    ///
    /// As [`shared`](Self::shared).
    pub fn stock(initdb: &[&str], settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter();
        Self::with(&Options {
            stock: Some(initdb.iter().map(|&it| it.to_owned()).collect()),
            settings: settings
                .map(|&(a, b)| (a.to_owned(), b.to_owned()))
                .collect(),
            ..Options::default()
        })
    }

    fn start() -> Self {
        Self::with(&Options {
            max_connections: 600,
            durable: false,
            superuser: true,
            ..Options::default()
        })
    }

    fn with(options: &Options) -> Self {
        let folder = temporary_folder();
        match PrivatePostgres::start_removing(&folder, options, Some(&folder), &Cancel::default()) {
            Ok(postgres) => Self { postgres },
            Err(error) => {
                let _ = std::fs::remove_dir_all(&folder);
                panic!("tests need a Postgres: {error}")
            }
        }
    }
}

/// Makes a folder that the account of Postgres can reach and remove.
fn temporary_folder() -> PathBuf {
    let usual = std::env::temp_dir();
    let is_reachable =
        Account::choose().is_none_or(|account| account.reaches(&usual.join("inside")));
    let parent = if is_reachable {
        usual
    } else {
        PathBuf::from("/tmp")
    };
    let open = std::fs::Permissions::from_mode(0o700);
    let folder = tempfile::Builder::new()
        .prefix("causeway-test-")
        .permissions(open)
        .tempdir_in(parent);
    folder
        .expect("the system's folder for temporary files can be written")
        .keep()
}
