//! Creation of a database cluster, all or nothing.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use crate::StartError;
use crate::folder::Folder;
use crate::guard::{Guard, Reach};
use crate::log_size::LogSize;
use crate::programs::Programs;

const INCOMPLETE: &str = "cluster.new";

/// The segment size of the write-ahead log. A commit waits while a new segment is filled with zeros
/// and flushed: 40 to 60 ms for one of the usual 16 MiB, several times a second under load, until
/// there are old ones to recycle.
const SEGMENT_MIB: u64 = 1;

/// Makes the cluster where there is none. It is made in another folder and renamed when complete, so
/// that an interrupted attempt is never taken for a database but made again.
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
    let place = fresh_place(folder).map_err(failed)?;
    let status = run(folder, programs, remove, &place).map_err(failed)?;
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

fn run(
    folder: &Folder,
    programs: &Programs,
    remove: Option<&Path>,
    place: &Path,
) -> io::Result<ExitStatus> {
    let reach = Reach::to(place, folder.account)?;
    let data_folder = reach.name();
    let arguments = [
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
        "--username=causeway",
        &format!("--wal-segsize={SEGMENT_MIB}"),
        "-D",
        &data_folder.to_string_lossy(),
    ];
    let guard = Guard {
        account: folder.account,
        log: folder.log()?,
        remove,
        prune: None,
    };
    let arguments = arguments.map(str::to_owned);
    let mut initdb = guard.run(&programs.initdb, &reach, &arguments)?;
    initdb.child.wait()
}

fn append(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::File::options().append(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Removes interrupted attempts and returns a new, empty folder. An `initdb` that is just being ended
/// may still write to an old one, so each attempt has its own name.
fn fresh_place(folder: &Folder) -> io::Result<PathBuf> {
    for entry in fs::read_dir(&folder.path)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(INCOMPLETE) {
            // A folder that is still in use is removed at the next start.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let place = folder
        .path
        .join(format!("{INCOMPLETE}.{}", std::process::id()));
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::create_dir(&place)?;
    folder.account.take_over(&place)?;
    Ok(place)
}
