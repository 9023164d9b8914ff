//! A separate home for each run of the program, so that tests touch nobody's files.

use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

/// A folder that is removed when its last handle is dropped.
#[derive(Clone)]
pub struct Home(Arc<TempDir>);

impl Home {
    pub fn new() -> Self {
        Self(Arc::new(tempfile::tempdir().unwrap()))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The variables that are set and unset in the program's environment.
    pub fn variables(&self) -> Vec<(&'static str, Option<String>)> {
        let home = self.path().to_str().unwrap().to_owned();
        let mut variables = vec![("HOME", Some(home)), ("TZ", Some("UTC".to_owned()))];
        let unset = [
            "XDG_CONFIG_HOME",
            "XDG_STATE_HOME",
            "NO_COLOR",
            "CAUSEWAY_SERVER",
            "CAUSEWAY_USER",
            "CAUSEWAY_GROUP",
            "CAUSEWAY_CA",
            "CAUSEWAY_COLOR",
            "CAUSEWAY_CONFIG",
            "CAUSEWAY_JSON",
            "CAUSEWAY_NO_FAILOVER",
            "CAUSEWAY_OUTBOX",
            "CAUSEWAY_TIMEOUT",
        ];
        variables.extend(unset.map(|name| (name, None)));
        variables
    }
}
