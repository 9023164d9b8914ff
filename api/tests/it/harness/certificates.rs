//! Certificates of a test's replicas, in a folder that goes with them.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Settings;

/// An authority and certificates for each replica.
#[derive(Debug)]
pub struct Certificates {
    issued: causeway_rig::Certificates,
    _folder: TempDir,
}

impl Certificates {
    /// Has an authority and certificates made for these replicas.
    pub fn of<'a>(replicas: impl IntoIterator<Item = &'a Settings>) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let program = Path::new(env!("CARGO_BIN_EXE_causeway-server"));
        let issued = causeway_rig::Certificates::issue(program, folder.path(), replicas);
        Self {
            issued: issued.expect("they are issued"),
            _folder: folder,
        }
    }

    /// Has new ones issued by the same authority.
    pub fn renew(&self) {
        self.issued.renew().expect("they are issued");
    }

    /// One of the files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.issued.file(name)
    }

    /// The certificate of the authority.
    pub fn ca(&self) -> PathBuf {
        self.issued.ca()
    }

    /// Lets a replica speak TLS.
    pub fn secure(&self, settings: &mut Settings) {
        self.issued.secure(settings);
    }

    /// Lets a replica speak TLS, while these others do not yet.
    pub fn secure_among(&self, settings: &mut Settings, plain: &[u16]) {
        self.issued.secure_among(settings, plain);
    }
}
