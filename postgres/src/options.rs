//! Options of a private Postgres.

use std::time::Duration;

/// Options of one private Postgres; the default is durable, as a replica needs.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many connections the server accepts. Default 100; each costs some 10 kB of shared memory.
    pub max_connections: u16,
    /// Postgres' page cache in MiB, allocated as it fills. Default 256, which holds the indexes of a
    /// million messages, or a sixteenth of a smaller memory.
    pub shared_buffers_mib: u32,
    /// Whether a commit waits for the disk. `false` for data that may be lost with the machine.
    pub durable: bool,
    /// Further settings, name and value, as for `postgres -c`; they win over those made here.
    pub settings: Vec<(String, String)>,
    /// For tests: a Postgres as somebody else sets it up, with the settings of `initdb` and Postgres
    /// instead of those made here. Holds the further arguments of `initdb`. Default `None`.
    pub stock: Option<Vec<String>>,
    /// For tests: whether one may log in as any role, such as the superuser `postgres`. Default
    /// `false`.
    pub superuser: bool,
    /// How long to wait for a former owner to release the folder. Default 30 s.
    pub lock_timeout: Duration,
    /// How long the server may take to accept connections, crash recovery included. Default 5 min.
    pub ready_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: 100,
            shared_buffers_mib: usual_buffers_mib(),
            durable: true,
            settings: Vec::new(),
            stock: None,
            superuser: false,
            lock_timeout: Duration::from_secs(30),
            ready_timeout: Duration::from_mins(5),
        }
    }
}

fn usual_buffers_mib() -> u32 {
    let machine = rustix::system::sysinfo();
    let total = u128::from(machine.totalram) * u128::from(machine.mem_unit);
    u32::try_from(total / 16 / (1024 * 1024)).map_or(256, |mib| mib.clamp(16, 256))
}

impl Options {
    /// Returns the settings as `name=value`, later ones winning.
    pub(crate) fn assignments(&self) -> Vec<String> {
        let mut assignments = match self.stock {
            None => self.usual(),
            // Only what keeps it to itself.
            Some(_) => vec!["listen_addresses=".to_owned(), "port=5432".to_owned()],
        };
        let further = self.settings.iter();
        assignments.extend(further.map(|(name, value)| format!("{name}={value}")));
        assignments
    }

    fn usual(&self) -> Vec<String> {
        let safe = if self.durable { "on" } else { "off" };
        let mut assignments: Vec<String> = [
            ("listen_addresses", ""),
            ("port", "5432"),
            ("unix_socket_permissions", "0700"),
            ("fsync", safe),
            ("synchronous_commit", safe),
            ("full_page_writes", safe),
            ("data_sync_retry", "off"),
            ("logging_collector", "off"),
            ("log_destination", "stderr"),
            // No text of users in the log: neither statements nor the values of keys.
            ("log_min_error_statement", "panic"),
            ("log_error_verbosity", "terse"),
            ("log_timezone", "UTC"),
            ("timezone", "UTC"),
            ("jit", "off"),
        ]
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
        assignments.push(format!("max_connections={}", self.max_connections));
        assignments.push(format!("shared_buffers={}MB", self.shared_buffers_mib));
        assignments
    }
}
