//! Making a cluster, all or nothing.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::StartError;
use crate::folder::Folder;
use crate::guard::{Guard, Reach};
use crate::log_size::LogSize;
use crate::programs::Programs;

const HALF_DONE: &str = "cluster.new";

/// The pieces of the write-ahead log. Whoever commits waits while a new one is filled with zeros and
/// flushed: 40 to 60 ms for one of the usual 16 MiB, several times a second under a load, until there
/// are old ones to be used again.
const PIECE_MIB: u64 = 1;

/// Makes the cluster where there is none. It is made beside its place and moved there when complete,
/// so one that was interrupted is never taken for a database: it is made again.
pub(crate) fn ensure(
    folder: &Folder,
    programs: &Programs,
    remove: Option<&Path>,
) -> Result<(), StartError> {
    if folder.cluster().is_dir() {
        return Ok(());
    }
    let failed = |source| StartError::Folder {
        path: folder.path.clone(),
        source,
    };
    let log = folder.log().map_err(failed)?;
    let place = fresh_place(folder).map_err(failed)?;
    let reach = Reach::to(&place, folder.account).map_err(failed)?;
    let arguments = [
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C",
        "-U",
        "causeway",
        "-D",
    ];
    let mut arguments: Vec<String> = arguments.map(str::to_owned).to_vec();
    arguments.push(reach.name().to_string_lossy().into_owned());
    arguments.push(format!("--wal-segsize={PIECE_MIB}"));

    let guard = Guard {
        account: folder.account,
        log,
        remove,
        prune: None,
    };
    let mut initdb = guard
        .run(&programs.initdb, &reach, &arguments)
        .map_err(failed)?;
    let status = initdb.child.wait().map_err(failed)?;

    if !status.success() {
        return Err(StartError::Initdb {
            said: folder.last_words(),
            log: folder.log_path(),
        });
    }
    if let Some(size) = LogSize::for_disk_of(&place) {
        append(&place.join("postgresql.conf"), &size.settings()).map_err(failed)?;
    }
    fs::rename(&place, folder.cluster()).map_err(failed)?;
    fs::File::open(&folder.path)
        .and_then(|folder| folder.sync_all())
        .map_err(failed)
}

fn append(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::File::options().append(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Clears away interrupted attempts. One may still be written to by an `initdb` that is just being
/// ended, so each attempt has a name of its own.
fn fresh_place(folder: &Folder) -> io::Result<std::path::PathBuf> {
    for entry in fs::read_dir(&folder.path)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(HALF_DONE) {
            // What is still in use goes at the next start.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let place = folder
        .path
        .join(format!("{HALF_DONE}.{}", std::process::id()));
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::create_dir(&place)?;
    folder.account.takes(&place)?;
    Ok(place)
}
