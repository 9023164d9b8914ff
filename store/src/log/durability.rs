//! The Postgres settings that make acknowledged commits durable (F29, F30).

use sqlx::PgConnection;

use super::OpenError;

/// A setting whose value can lose acknowledged writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsafe {
    /// Its name.
    pub setting: String,
    /// Its current value.
    pub value: String,
    /// The value that is safe.
    pub safe: &'static str,
}

/// Reads the settings in effect for this session, including those of its role and its database. A
/// safe `synchronous_commit` is pinned, so that it cannot be switched off under an open session.
pub async fn examine(connection: &mut PgConnection) -> sqlx::Result<Vec<Unsafe>> {
    let found: Vec<(String, String)> = sqlx::query_as(
        "SELECT name, setting FROM pg_settings
         WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'data_sync_retry',
             'ignore_checksum_failure', 'zero_damaged_pages')
         ORDER BY name",
    )
    .fetch_all(&mut *connection)
    .await?;
    let unsafe_ones: Vec<Unsafe> = found.into_iter().filter_map(judged).collect();
    if unsafe_ones.iter().all(|it| it.setting != COMMIT) {
        sqlx::query("SELECT set_config($1, current_setting($1), false)")
            .bind(COMMIT)
            .execute(connection)
            .await?;
    }
    Ok(unsafe_ones)
}

/// Refuses to write with any unsafe setting, unless the configuration allows it.
pub(super) async fn demand(
    connection: &mut PgConnection,
    allow_unsafe: bool,
) -> Result<Vec<Unsafe>, OpenError> {
    let mut found = examine(connection).await?;
    if !allow_unsafe && !found.is_empty() {
        return Err(OpenError::Unsafe(found.swap_remove(0)));
    }
    Ok(found)
}

const COMMIT: &str = "synchronous_commit";

fn judged((setting, value): (String, String)) -> Option<Unsafe> {
    let safe = match setting.as_str() {
        // A sync that succeeds after a failed one proves nothing: Postgres must restart and recover.
        // A damaged page must not be read as if it were empty, and written again.
        "data_sync_retry" | "ignore_checksum_failure" | "zero_damaged_pages" => "off",
        _ => "on",
    };
    let is_unsafe = (value == "off") == (safe == "on");
    is_unsafe.then_some(Unsafe {
        setting,
        value,
        safe,
    })
}
