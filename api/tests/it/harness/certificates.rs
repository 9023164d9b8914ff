//! Certificates as an operator has them issued.

use std::path::PathBuf;

use tempfile::TempDir;

use super::{Settings, run_to_its_end};

/// A folder with an authority, and certificates for each replica.
#[derive(Debug)]
pub struct Certificates(TempDir);

impl Certificates {
    /// Has an authority and certificates made for these replicas.
    pub fn of<'a>(replicas: impl IntoIterator<Item = &'a Settings>) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        for settings in replicas {
            let path = folder
                .path()
                .join(format!("causeway-{}.toml", settings.replica));
            std::fs::write(path, settings.toml()).expect("a file can be written");
        }
        let certificates = Self(folder);
        certificates.renew(&["--new-authority"]);
        certificates
    }

    /// Has new ones issued.
    pub fn renew(&self, more: &[&str]) {
        let folder = self.0.path().to_str().expect("a path of text");
        let output = run_to_its_end(
            &[&["renew-certificates", "--out", folder], more].concat(),
            &[],
        );
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }

    /// One of the files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The certificate of the authority.
    pub fn ca(&self) -> PathBuf {
        self.file("ca.crt")
    }

    /// What a replica is told of them.
    pub fn tables(&self, replica: u16) -> String {
        let folder = self.0.path().display();
        let own = |kind: &str| {
            let name = format!("{folder}/causeway-{replica}{kind}");
            format!("certificate = \"{name}.crt\"\nkey = \"{name}.key\"\n")
        };
        format!(
            "\n[tls]\n{}\n[peer_tls]\nca = \"{folder}/ca.crt\"\n{}",
            own(""),
            own("-peer")
        )
    }
}
