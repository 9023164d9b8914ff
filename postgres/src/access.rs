//! Who may log in to a private Postgres: the account of its owner, as the role that owns the
//! database. Postgres asks the kernel for the account at the other end of the socket (`peer`), so
//! that no other process of the account that runs Postgres gets in.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::account::{Account, own_name};

/// The role that owns the database; no superuser.
pub(crate) const OWNER: &str = "causeway";
/// The superuser. Nobody can log in as it, unless the options say so.
pub(crate) const SUPERUSER: &str = "postgres";

const RULES: &str = "\
# Written at each start.
local all all peer map=causeway
host all all all reject
local replication all reject
host replication all all reject
";
/// For tests. The folder of the socket is private all the same.
const ANY_ROLE: &str = "\
# Written at each start.
local all all trust
local replication all trust
";

/// Writes the rules into a cluster, where they are not there yet.
pub(crate) fn write(cluster: &Path, account: Account, any_role: bool) -> io::Result<()> {
    let rules = if any_role { ANY_ROLE } else { RULES };
    replace(&cluster.join("pg_hba.conf"), rules, account)?;
    let name = own_name()?.replace('"', "\"\"");
    let map = format!("# Written at each start.\ncauseway \"{name}\" {OWNER}\n");
    replace(&cluster.join("pg_ident.conf"), &map, account)
}

/// Replaces a file that Postgres reads, all or nothing.
pub(crate) fn replace(path: &Path, text: &str, account: Account) -> io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|found| found == text) {
        return Ok(());
    }
    let new = path.with_extension("new");
    let mut options = fs::File::options();
    options.create(true).truncate(true).write(true).mode(0o600);
    let mut file = options.open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    account.take_over(&new)?;
    fs::rename(new, path)
}
