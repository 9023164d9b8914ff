//! Certificates for replicas, as an operator has them issued.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Settings;

/// An authority in a folder, and certificates of both ports for each replica.
#[derive(Clone, Debug)]
pub struct Certificates {
    program: PathBuf,
    folder: PathBuf,
}

impl Certificates {
    /// Has them made for these replicas by a server's program, in a folder that exists.
    pub fn issue<'a>(
        program: &Path,
        folder: &Path,
        replicas: impl IntoIterator<Item = &'a Settings>,
    ) -> io::Result<Self> {
        for settings in replicas {
            let path = folder.join(format!("causeway-{}.toml", settings.replica));
            std::fs::write(path, settings.toml())?;
        }
        let certificates = Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
        };
        certificates.run(&["--new-authority"])?;
        Ok(certificates)
    }

    /// Has new ones issued by the same authority.
    pub fn renew(&self) -> io::Result<()> {
        self.run(&[])
    }

    /// One of the files, such as `causeway-1-peer.key`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The certificate of the authority, which clients have to trust.
    pub fn ca(&self) -> PathBuf {
        self.file("ca.crt")
    }

    /// Lets a replica speak TLS on both ports and find all replicas so.
    pub fn secure(&self, settings: &mut Settings) {
        self.secure_among(settings, &[]);
    }

    /// Lets a replica speak TLS on both ports, while these others do not yet.
    pub fn secure_among(&self, settings: &mut Settings, plain: &[u16]) {
        settings.tables = self.tables(settings.replica);
        for (id, public, internal) in &mut settings.replicas {
            let (from, to) = if plain.contains(id) {
                ("https://", "http://")
            } else {
                ("http://", "https://")
            };
            for url in [public, internal] {
                *url = url.replace(from, to);
            }
        }
    }

    fn tables(&self, replica: u16) -> String {
        let folder = self.folder.display();
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

    fn run(&self, more: &[&str]) -> io::Result<()> {
        let mut command = Command::new(&self.program);
        command
            .args(["renew-certificates", "--out"])
            .arg(&self.folder);
        let output = command.args(more).stdin(Stdio::null()).output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr)))
    }
}
