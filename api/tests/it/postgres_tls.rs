//! A Postgres that is reached over TLS, with a certificate of an authority of its own.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use causeway_postgres::Disposable;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::foreign_postgres::{database, stock_with, works_on};
use crate::harness::{Replica, run_with};

/// A loopback address that nothing else listens on, since the port is always 5432.
const ADDRESS: &str = "127.99.1.7";

#[tokio::test]
async fn everything_works_on_a_postgres_that_takes_nothing_but_tls() {
    let postgres = Secured::start(ADDRESS).await;

    let over_tls = |url: &str| postgres.over_tls(url, "verify-full", &postgres.ca);
    works_on(&postgres.postgres, over_tls).await;
}

#[tokio::test]
async fn a_database_that_is_not_the_one_meant_is_refused_with_the_reason() {
    let postgres = Secured::start("127.99.1.8").await;
    let direct = database(&postgres.postgres, 1).await;
    let (foreign, _) = authority("another");
    let elsewhere = postgres.folder.path().join("foreign.crt");
    fs::write(&elsewhere, foreign).expect("it can be written");
    let mut replica = Replica::prepare().await;

    for (mode, ca, word) in [
        ("verify-full", &elsewhere, "certificate"),
        ("disable", &postgres.ca, "pg_hba.conf"),
    ] {
        replica.settings.database_url = Some(postgres.over_tls(&direct, mode, ca));
        let checked = run_with(&replica.settings, &["check"]).await;
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(!checked.status.success(), "{mode}: {said}");
        assert!(said.contains(word), "{mode}: {said}");
    }
}

/// A Postgres with a certificate, which over the network takes nothing but TLS.
struct Secured {
    postgres: Disposable,
    ca: PathBuf,
    address: &'static str,
    folder: TempDir,
}

impl Secured {
    async fn start(address: &'static str) -> Self {
        let postgres = stock_with(&["--encoding=UTF8"], &[("listen_addresses", address)]).await;
        let folder = tempfile::tempdir().expect("a folder can be made");
        let ca = folder.path().join("ca.crt");
        let (authority, issuer) = authority("databases");
        fs::write(&ca, authority).expect("it can be written");
        let key = KeyPair::generate().expect("a key can be made");
        let params = CertificateParams::new(vec![address.to_owned()]).expect("it is an address");
        let certificate = params.signed_by(&key, &issuer).expect("it can be issued");

        let mut admin = PgConnection::connect(&postgres.url())
            .await
            .expect("it runs");
        let (data,): (String,) = sqlx::query_as("SHOW data_directory")
            .fetch_one(&mut admin)
            .await
            .expect("a superuser may see it");
        let data = Path::new(&data);
        put(data, "server.crt", &certificate.pem());
        put(data, "server.key", &key.serialize_pem());
        put(
            data,
            "pg_hba.conf",
            "local all all trust\nhostssl all all all trust\n",
        );
        for sql in ["ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()"] {
            let ordered = sqlx::raw_sql(sql).execute(&mut admin).await;
            ordered.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        Self {
            postgres,
            ca,
            address,
            folder,
        }
    }

    fn over_tls(&self, url: &str, mode: &str, ca: &Path) -> String {
        let name = url.split(['/', '?']).nth(3).expect("a database");
        let ca = ca.display();
        format!(
            "postgres://chat@{}:5432/{name}?sslmode={mode}&sslrootcert={ca}",
            self.address
        )
    }
}

/// Writes a file that the account of the folder alone can read.
fn put(folder: &Path, name: &str, text: &str) {
    let owner = fs::metadata(folder).expect("it is there");
    let path = folder.join(name);
    fs::write(&path, text).expect("it can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
    chown(&path, Some(owner.uid()), Some(owner.gid())).expect("we are root, or it is ours");
}

/// Makes an authority; returns its certificate too.
fn authority(name: &str) -> (String, CertifiedIssuer<'static, KeyPair>) {
    let mut params = CertificateParams::new(vec![]).expect("no names are valid");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let common = rcgen::DnType::CommonName;
    params.distinguished_name.push(common, name);
    let key = KeyPair::generate().expect("a key can be made");
    let issuer = CertifiedIssuer::self_signed(params, key).expect("it can be made");
    (issuer.pem(), issuer)
}
