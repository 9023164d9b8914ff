//! Creation of a database cluster, all or nothing.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use crate::access::SUPERUSER;
use crate::cancel::Cancel;
use crate::folder::Folder;
use crate::guard::{Guard, Reach};
use crate::log_size::LogSize;
use crate::programs::Programs;
use crate::{Options, StartError, roles};

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
    options: &Options,
    remove: Option<&Path>,
    cancel: &Cancel,
) -> Result<(), StartError> {
    if folder.cluster().is_dir() {
        return Ok(());
    }
    let failed = |source| StartError::Folder {
        path: folder.path.clone(),
        source,
    };
    let place = fresh_place(folder).map_err(failed)?;
    let arguments = arguments(options);
    let status = run(folder, programs, arguments, remove, &place, cancel).map_err(failed)?;
    if !status.ok_or(StartError::Cancelled)?.success() {
        return Err(StartError::Initdb {
            said: folder.last_words(),
            log: folder.log_path(),
        });
    }
    if options.stock.is_none()
        && let Some(size) = LogSize::for_disk_of(&place)
    {
        append(&place.join("postgresql.conf"), &size.settings()).map_err(failed)?;
    }
    if options.stock.is_none() {
        roles::ensure(folder, programs, remove, &place, cancel)?;
    }
    fs::rename(&place, folder.cluster()).map_err(failed)?;
    fs::File::open(&folder.path)
        .and_then(|folder| folder.sync_all())
        .map_err(failed)
}

fn arguments(options: &Options) -> Vec<String> {
    let usual = || {
        let segments = format!("--wal-segsize={SEGMENT_MIB}");
        vec![
            "--encoding=UTF8".to_owned(),
            "--locale=C".to_owned(),
            segments,
        ]
    };
    let mut arguments = vec!["--auth=trust".to_owned(), format!("--username={SUPERUSER}")];
    arguments.extend(options.stock.clone().unwrap_or_else(usual));
    arguments
}

fn run(
    folder: &Folder,
    programs: &Programs,
    mut arguments: Vec<String>,
    remove: Option<&Path>,
    place: &Path,
    cancel: &Cancel,
) -> io::Result<Option<ExitStatus>> {
    let reach = Reach::to(place, folder.account)?;
    let data_folder = reach.name();
    arguments.extend(["-D".to_owned(), data_folder.to_string_lossy().into_owned()]);
    let guard = Guard {
        account: folder.account,
        log: folder.log()?,
        remove,
        prune: None,
    };
    let initdb = guard.run(&programs.initdb, &reach, &arguments)?;
    initdb.wait_unless(cancel)
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
