//! Failures of the program's commands: what is printed, and the exit code.

use std::io::{self, Write as _};
use std::net::SocketAddr;

use causeway_postgres::StartError;
use causeway_store::log::OpenError;

use crate::config::ConfigError;
use crate::data_folder::DataFolderError;

/// Something that the user has to change: input, settings, a port, a folder.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UserError(pub String);

/// Binds a listener of the setting `key`; the error names setting and address.
pub async fn listen(key: &str, address: SocketAddr) -> anyhow::Result<tokio::net::TcpListener> {
    let bound = tokio::net::TcpListener::bind(address).await;
    bound.map_err(|error| UserError(unbound(key, address, &error)).into())
}

/// Prints a line to standard error. Failing to is no reason to end: the terminal may be gone, the
/// disk of a log full.
pub fn print_notice(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Returns an error and its causes as one sentence in one line.
pub fn sentence(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        // Some errors repeat their cause in their own text.
        if said.is_empty() {
            said = cause;
        } else if !said.contains(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    if let Some(remedy) = error.chain().find_map(remedy) {
        said = format!("{said}; {remedy}");
    }
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What to do about a file system that takes nothing.
fn remedy(cause: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    match cause.downcast_ref::<io::Error>()?.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            Some("mount this file system for writing, or name another folder")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("make room on this file system, or name another folder")
        }
        _ => None,
    }
}

/// Returns 2 where the user has to change something, else 1.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    let is_of_the_user = error.chain().any(|cause| {
        cause.is::<UserError>()
            || cause.is::<ConfigError>()
            || cause.is::<DataFolderError>()
            || cause
                .downcast_ref::<StartError>()
                .is_some_and(is_of_the_machine)
            || cause
                .downcast_ref::<OpenError>()
                .is_some_and(is_of_the_database)
    });
    if is_of_the_user { 2 } else { 1 }
}

/// Whether the user has to change programs, account or folder before Postgres can start.
fn is_of_the_machine(error: &StartError) -> bool {
    match error {
        StartError::Missing(_)
        | StartError::Foreign { .. }
        | StartError::Taken { .. }
        | StartError::NoAccount
        | StartError::Version { .. }
        | StartError::Owner { .. }
        | StartError::Folder { .. } => true,
        StartError::Initdb { .. }
        | StartError::Roles { .. }
        | StartError::Ended { .. }
        | StartError::Cancelled
        | StartError::NotReady { .. } => false,
    }
}

/// Whether the user has to change the configured database, or the setting.
fn is_of_the_database(error: &OpenError) -> bool {
    match error {
        OpenError::Unreachable(_)
        | OpenError::InUse
        | OpenError::OtherCluster { .. }
        | OpenError::OtherReplica { .. }
        | OpenError::Empty
        | OpenError::Standby
        | OpenError::Unsafe(_)
        | OpenError::NewerSchema(_)
        | OpenError::TooOld { .. }
        | OpenError::Encoding(_)
        | OpenError::Schema { .. }
        | OpenError::Lent
        | OpenError::TooFewConnections { .. }
        | OpenError::Sidecar { .. } => true,
        OpenError::Migration(_) | OpenError::Database(_) => false,
    }
}

fn unbound(key: &str, address: SocketAddr, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program uses that port: stop it, or choose another port".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 are for root: choose another port".to_owned()
        }
        _ => error.to_string(),
    };
    format!("cannot listen on {address} (`{key}`): {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_named_with_its_setting_and_is_the_users_to_change() {
        let first = listen("public_listen", SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .unwrap();
        let address = first.local_addr().unwrap();

        let error = listen("public_listen", address).await.unwrap_err();

        let said = sentence(&error);
        assert!(
            said.contains(&address.to_string()) && said.contains("`public_listen`"),
            "{said}"
        );
        assert_eq!(exit_code(&error), 2);
    }

    #[test]
    fn a_file_system_that_takes_nothing_comes_with_a_remedy() {
        let full = anyhow::Error::new(io::Error::from(io::ErrorKind::StorageFull));
        let read_only = io::Error::from(io::ErrorKind::ReadOnlyFilesystem);
        let read_only = anyhow::Error::new(DataFolderError::Unusable {
            path: "data".into(),
            source: read_only,
        });

        assert!(sentence(&full).contains("make room"), "{full}");
        let said = sentence(&read_only);
        assert!(said.contains("`data`") && said.contains("mount"), "{said}");
        assert_eq!(exit_code(&read_only), 2);
    }

    #[test]
    fn causes_are_printed_once_and_in_one_line() {
        let cause = io::Error::other("disk\non fire");
        let error = anyhow::Error::new(cause)
            .context("cannot write")
            .context("cannot start");

        assert_eq!(sentence(&error), "cannot start: cannot write: disk on fire");
        assert_eq!(exit_code(&error), 1);
    }
}
