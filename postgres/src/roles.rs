//! The roles of a private Postgres, made in single-user mode: that is the only way to its superuser.

use std::fs;
use std::io;
use std::path::Path;

use crate::cancel::Cancel;
use crate::folder::Folder;
use crate::guard::{Guard, Reach};
use crate::programs::Programs;
use crate::{StartError, access, orphan};

/// What was done last, kept in the cluster.
const DONE: &str = "causeway-roles.sql";
const TO_DO: &str = "causeway-roles.sql.new";

/// One command in one transaction. In clusters of the first versions `causeway` was the superuser:
/// it becomes `postgres`, and a role without privileges takes its name and its tables.
const STATEMENTS: &str = "DO $$
DECLARE
    found record;
BEGIN
    IF EXISTS (SELECT FROM pg_authid WHERE rolname = 'causeway' AND rolsuper) THEN
        CREATE ROLE causeway_once SUPERUSER;
        SET SESSION AUTHORIZATION causeway_once;
        ALTER ROLE causeway RENAME TO postgres;
        SET SESSION AUTHORIZATION postgres;
        DROP ROLE causeway_once;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_authid WHERE rolname = 'causeway') THEN
        CREATE ROLE causeway LOGIN;
    END IF;
    ALTER DATABASE postgres OWNER TO causeway;
    FOR found IN SELECT oid::regclass AS name FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S', 'v')
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO causeway', found.name);
    END LOOP;
END $$";

/// Makes the roles of a cluster that does not run, once.
pub(crate) fn ensure(
    folder: &Folder,
    programs: &Programs,
    remove: Option<&Path>,
    cluster: &Path,
    cancel: &Cancel,
) -> Result<(), StartError> {
    if cluster.join(DONE).is_file() {
        return Ok(());
    }
    let failed = |source| StartError::Folder {
        path: folder.path.clone(),
        source,
    };
    orphan::end(cluster).map_err(failed)?;
    // In single-user mode a command is one line.
    let statements = STATEMENTS.replace('\n', " ") + "\n";
    access::replace(&cluster.join(TO_DO), &statements, folder.account).map_err(failed)?;
    let made = run(folder, programs, remove, cluster, cancel).map_err(failed)?;
    if !made.ok_or(StartError::Cancelled)? {
        return Err(StartError::Roles {
            said: folder.last_words(),
            log: folder.log_path(),
        });
    }
    fs::rename(cluster.join(TO_DO), cluster.join(DONE)).map_err(failed)
}

fn run(
    folder: &Folder,
    programs: &Programs,
    remove: Option<&Path>,
    cluster: &Path,
    cancel: &Cancel,
) -> io::Result<Option<bool>> {
    let reach = Reach::to(cluster, folder.account)?;
    let script =
        format!(r#"exec "$0" --single -c exit_on_error=on -D "$1" postgres <"$1/{TO_DO}""#);
    let arguments = [
        "-c".to_owned(),
        script,
        programs.postgres.to_string_lossy().into_owned(),
        reach.name().to_string_lossy().into_owned(),
    ];
    let guard = Guard {
        account: folder.account,
        log: folder.log()?,
        remove,
        prune: None,
    };
    let running = guard.run(Path::new("/bin/sh"), &reach, &arguments)?;
    let status = running.wait_unless(cancel)?;
    Ok(status.map(|status| status.success()))
}
