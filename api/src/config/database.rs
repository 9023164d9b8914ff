//! The URL of a Postgres of one's own.

use std::net::IpAddr;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::ConfigError;

pub(super) fn url(url: String) -> Result<String, ConfigError> {
    let why =
        |said: &str| format!("{said}; it looks like postgres://user:password@host:5432/database");
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(ConfigError::wrong(
            "database_url",
            why("it is not the URL of a Postgres database"),
        ));
    }
    match url.parse::<PgConnectOptions>() {
        Ok(_) => Ok(url),
        Err(error) => Err(ConfigError::wrong("database_url", why(&error.to_string()))),
    }
}

/// Says that a database on another machine is not told from somebody between, where that is so.
pub(super) fn warning(url: &str) -> Option<String> {
    let options: PgConnectOptions = url.parse().ok()?;
    let host = options.get_host();
    let address = host.trim_matches(['[', ']']).parse();
    let is_here = options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || address.is_ok_and(|address: IpAddr| address.is_loopback());
    let is_proven = matches!(
        options.get_ssl_mode(),
        PgSslMode::VerifyCa | PgSslMode::VerifyFull
    );
    (!is_here && !is_proven).then(|| {
        format!(
            "whoever is between this server and `{host}` can read and change everything; add \
             `sslmode=verify-full&sslrootcert=FILE` to `database_url`, FILE being the certificate \
             of the authority that issued the database's"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_elsewhere_has_to_prove_itself() {
        for url in [
            "postgres://db.example/causeway",
            "postgres://db.example/causeway?sslmode=require",
            "postgres://10.0.0.7/causeway?sslmode=disable",
        ] {
            assert!(
                warning(url).is_some_and(|said| said.contains("verify-full")),
                "{url}"
            );
        }
        for url in [
            "postgres://db.example/causeway?sslmode=verify-full&sslrootcert=ca.crt",
            "postgres://localhost/causeway",
            "postgres://127.0.0.1/causeway",
            "postgres://[::1]/causeway",
            "postgres://localhost/causeway?host=/run/postgresql",
        ] {
            assert_eq!(warning(url), None, "{url}");
        }
    }
}
