//! Input from operators, and the file that a replica writes for itself.

use causeway_api::config::Config;
use causeway_domain::writing::Record;

use crate::pieces::Pieces;

/// The configuration: a file, overridden by environment variables.
pub fn config(bytes: &[u8]) {
    let mut pieces = Pieces::of(bytes);
    let variables: Vec<(String, String)> = (0..pieces.byte() % 4)
        .map(|_| {
            let name = VARIABLES[usize::from(pieces.byte()) % VARIABLES.len()];
            let value = String::from_utf8_lossy(pieces.part()).into_owned();
            (name.to_owned(), value)
        })
        .collect();
    let file = String::from_utf8_lossy(pieces.rest());
    // A key file may be any file of this machine; its content is not part of the input.
    if file.contains("key_file") {
        return;
    }
    match Config::parse(&file, variables.into_iter()) {
        Ok(config) => {
            assert!(config.cluster_key.bytes().len() >= 32);
            assert_eq!(config.own_address().id, config.replica);
            assert!(config.peers().all(|peer| peer.id != config.replica));
            assert!(config.limits.max_text_chars > 0 && config.limits.max_connections != Some(0));
        }
        Err(error) => {
            let sentence = error.to_string();
            assert!(
                !sentence.is_empty() && !sentence.contains('\n'),
                "{sentence}"
            );
        }
    }
}

const VARIABLES: [&str; 8] = [
    "CAUSEWAY_CLUSTER",
    "CAUSEWAY_REPLICA",
    "CAUSEWAY_REPLICAS",
    "CAUSEWAY_PUBLIC_LISTEN",
    "CAUSEWAY_CLUSTER_KEY",
    "CAUSEWAY_ALLOW_UNSAFE_POSTGRES",
    "CAUSEWAY_LIMITS_MAX_TEXT_CHARS",
    "CAUSEWAY_DATA_DIR",
];

/// The file beside the database.
pub fn sidecar(bytes: &[u8]) {
    if let Ok(record) = serde_json::from_slice::<Record>(bytes) {
        let again = serde_json::to_vec(&record).expect("a record is JSON");
        let again: Record = serde_json::from_slice(&again).expect("its own encoding can be parsed");
        assert_eq!(again, record);
    }
}
