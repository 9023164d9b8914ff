//! One replica: a server, its settings, its database, its folder.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use causeway_client::{Client, Http, Limits};
use reqwest::{Certificate, Method, RequestBuilder};
use tempfile::TempDir;

use super::{Answer, Certificates, Database, Process, Settings, User, settings_alone, write};

/// The public address of a replica, which changes when it is started again.
#[derive(Clone, Debug)]
pub struct Door {
    address: Arc<Mutex<SocketAddr>>,
    /// The authority that it trusts: then it speaks TLS.
    ca: Option<PathBuf>,
    /// For requests of which every byte matters.
    raw: reqwest::Client,
    /// For what is only prepared.
    http: Http,
}

impl Door {
    /// The door at an address.
    pub fn at(address: SocketAddr) -> Self {
        Self::trusting(address, None)
    }

    /// The door at an address that speaks TLS, where an authority is named.
    pub fn trusting(address: SocketAddr, ca: Option<PathBuf>) -> Self {
        let limits = Limits {
            connect: Duration::from_secs(5),
            call: Duration::from_mins(1),
            ..Limits::default()
        };
        let pem = ca
            .as_ref()
            .map(|ca| std::fs::read(ca).expect("it was written"));
        let trusted = pem.map(|pem| Certificate::from_pem(&pem).expect("it is one"));
        let raw = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only(trusted)
            .tls_info(true)
            .connect_timeout(limits.connect)
            .build();
        Self {
            address: Arc::new(Mutex::new(address)),
            raw: raw.expect("a client can be made"),
            http: Http::new(ca.as_deref(), limits).expect("it was read before"),
            ca,
        }
    }

    /// The same door with connections of its own.
    pub fn anew(&self) -> Self {
        Self::trusting(self.address(), self.ca.clone())
    }

    /// Its URL.
    pub fn url(&self) -> String {
        let scheme = if self.ca.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address())
    }

    /// The public API as it is at this moment, without a token.
    pub fn client(&self) -> Client {
        Client::new(&self.http, &self.url())
    }

    /// A request to a path that begins with `/`, without a token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = self.url();
        self.raw.request(method, format!("{url}{path}"))
    }

    /// Gets a path without a token.
    pub async fn get(&self, path: &str) -> Answer {
        let request = self
            .request(Method::GET, path)
            .timeout(Duration::from_mins(1));
        Answer::to(request).await.expect("the server answers")
    }

    /// The address itself, for those who speak less than HTTP.
    pub fn address(&self) -> SocketAddr {
        *self.address.lock().expect("no holder panics")
    }
}

/// One replica that a test may stop, kill, start again and spoil.
#[derive(Debug)]
pub struct Replica {
    process: Option<Process>,
    /// What it is told at its next start.
    pub settings: Settings,
    /// Where its clients come in.
    pub door: Door,
    database: Database,
    _folder: TempDir,
}

impl Replica {
    /// Starts the only replica of a cluster.
    pub async fn start() -> Self {
        let mut replica = Self::prepare().await;
        replica.restart().await;
        replica
    }

    /// A replica that has all it needs and does not run yet.
    pub async fn prepare() -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let database = Database::empty().await;
        let mut settings = settings_alone(folder.path());
        settings.database_url = Some(database.url());
        Self {
            process: None,
            settings,
            door: Door::at(SocketAddr::from(([127, 0, 0, 1], 9))),
            database,
            _folder: folder,
        }
    }

    /// Lets its clients and its peers speak TLS from its next start on.
    pub fn secure(&mut self, certificates: &Certificates) {
        self.secure_among(certificates, &[]);
    }

    /// The same while these others speak plain text.
    pub fn secure_among(&mut self, certificates: &Certificates, plain: &[u16]) {
        certificates.secure_among(&mut self.settings, plain);
        self.door = Door::trusting(self.door.address(), Some(certificates.ca()));
    }

    /// Starts it (again) with its settings and waits until it is ready.
    pub async fn restart(&mut self) {
        self.process = None;
        let process = Process::start(&write(&self.settings)).await;
        self.runs(process);
    }

    /// Starts it (again) with at most this many files open at once.
    pub async fn restart_small(&mut self, open_files: u32) {
        self.process = None;
        let process = Process::start_small(&write(&self.settings), open_files).await;
        self.runs(process);
    }

    /// Starts it (again) with its log going there, and all of it.
    pub async fn restart_telling(&mut self, log: Stdio) {
        self.process = None;
        let process = Process::start_telling(&write(&self.settings), log, "trace").await;
        self.runs(process);
    }

    fn runs(&mut self, process: Process) {
        *self.door.address.lock().expect("no holder panics") = process.public;
        self.process = Some(process);
    }

    /// Ends it as `kill -9` does.
    pub fn kill9(&mut self) {
        self.process.take().expect("it runs").kill9();
    }

    /// Asks it to stop and demands that it ends well.
    pub async fn stop(&mut self) {
        let process = self.process.take().expect("it runs");
        let status = process.terminate().await;
        assert!(status.success(), "stopped with {status}");
    }

    /// The running server.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    /// Where its peers come in, while it runs.
    pub fn internal(&self) -> Option<SocketAddr> {
        self.process.as_ref().map(|process| process.internal)
    }

    /// A copy of its database. It must not run.
    pub async fn backup(&self) -> Database {
        assert!(self.process.is_none(), "a database in use cannot be copied");
        self.database.copy().await
    }

    /// The same replica once more, on a copy of its disk. It must not run.
    pub async fn copy(&self) -> Self {
        let mut copy = Self::prepare().await;
        copy.restore(self.backup().await);
        copy.settings = Settings {
            data_dir: copy.settings.data_dir,
            database_url: copy.settings.database_url,
            ..self.settings.clone()
        };
        let (from, to) = (&self.settings.data_dir, &copy.settings.data_dir);
        std::fs::create_dir_all(to).expect("a folder can be made");
        for file in std::fs::read_dir(from).expect("it has a folder") {
            let file = file.expect("it can be read");
            std::fs::copy(file.path(), to.join(file.file_name())).expect("there are only files");
        }
        copy
    }

    /// Gives it another database. It must not run.
    pub fn restore(&mut self, database: Database) {
        assert!(self.process.is_none(), "its database is in use");
        self.settings.database_url = Some(database.url());
        self.database = database;
    }

    /// Where its database is.
    pub fn database_url(&self) -> String {
        self.database.url()
    }

    /// What stands in the file beside its database.
    pub fn identity_file(&self) -> Vec<u8> {
        std::fs::read(self.identity_path())
            .expect("a replica has this file from its first start on")
    }

    /// Puts a former file beside its database. It must not run.
    pub fn restore_identity_file(&self, file: &[u8]) {
        assert!(self.process.is_none(), "its file is in use");
        std::fs::write(self.identity_path(), file).expect("its folder can be written");
    }

    fn identity_path(&self) -> std::path::PathBuf {
        self.settings.data_dir.join("identity.json")
    }

    /// The sum of the metrics whose lines begin so.
    pub async fn metric(&self, begin: &str) -> usize {
        let metrics = self.door.get("/metrics").await.body;
        let values = metrics.lines().filter(|line| line.starts_with(begin));
        let value = |line: &str| line.rsplit(' ').next()?.parse::<usize>().ok();
        let values = values.map(|line| value(line).expect("a whole number"));
        values.sum()
    }

    /// Logs somebody in.
    pub async fn user(&self, name: &str) -> User {
        User::logs_in(&self.door, name).await
    }

    /// Logs somebody in who joins a group.
    pub async fn member(&self, name: &str, group: &str) -> User {
        let user = self.user(name).await;
        user.joins(group).await;
        user
    }
}
