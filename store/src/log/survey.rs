//! What of a Postgres that somebody else has set up costs speed or safety, and cannot be set by a
//! session. Nothing of it prevents a start.

use std::fmt;

use sqlx::PgConnection;

use super::demand::CONNECTIONS;

/// One thing to change, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice(String);

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads the settings, and what limits this role.
pub async fn survey(connection: &mut PgConnection) -> sqlx::Result<Vec<Advice>> {
    let settings: Vec<(String, String)> = sqlx::query_as(
        "SELECT name, setting FROM pg_settings
         WHERE name IN ('autovacuum', 'checkpoint_timeout', 'commit_delay', 'log_duration',
             'log_min_duration_statement', 'log_statement', 'max_wal_size', 'server_encoding',
             'shared_buffers', 'track_counts')
         UNION ALL
         SELECT 'connections', least(
             current_setting('max_connections')::int
                 - current_setting('superuser_reserved_connections')::int,
             CASE WHEN rolconnlimit < 0 THEN 2147483647 ELSE rolconnlimit END,
             CASE WHEN datconnlimit < 0 THEN 2147483647 ELSE datconnlimit END)::text
         FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()
         UNION ALL
         SELECT 'superuser', rolsuper::text FROM pg_roles WHERE rolname = current_user
         ORDER BY 1",
    )
    .fetch_all(connection)
    .await?;
    let settings = settings.iter();
    Ok(settings
        .filter_map(|(name, value)| judged(name, value))
        .map(Advice)
        .collect())
}

/// Sizes and times are in the unit of the setting: 8 KiB, MiB, seconds, microseconds.
fn judged(name: &str, value: &str) -> Option<String> {
    let number = value.parse::<i64>().unwrap_or(0);
    let advice = match (name, value) {
        ("autovacuum" | "track_counts", "off") => format!(
            "`{name} = off`: dead rows are never removed, so tables grow and reads slow down; set it to \
             `on`"
        ),
        ("checkpoint_timeout", _) if number < 300 => format!(
            "`checkpoint_timeout = {value}s`: after each checkpoint every changed page is written \
             whole, which slows posts down; set it to `15min`"
        ),
        ("max_wal_size", _) if number < 4096 => format!(
            "`max_wal_size = {value}MB`: checkpoints are frequent under load, which halves the rate of \
             posts with a million messages; set it to `4GB` if the disk has room"
        ),
        ("shared_buffers", _) if number < 16_384 => format!(
            "`shared_buffers = {}kB`: the indexes of a large history do not fit, so posts wait for the \
             disk; set it to `256MB`",
            number * 8
        ),
        ("commit_delay", _) if number > 0 => format!(
            "`commit_delay = {value}`: commits wait this many microseconds, and so does every post; \
             set it to `0`"
        ),
        ("log_statement", "all" | "mod") => log_of_texts(&format!("log_statement = {value}"), "none"),
        ("log_min_duration_statement", _) if number >= 0 => {
            log_of_texts(&format!("log_min_duration_statement = {value}"), "-1")
        }
        ("log_duration", "on") => {
            "`log_duration = on`: a line is logged for every statement, which slows all of them down; \
             set it to `off`"
                .to_owned()
        }
        ("server_encoding", "SQL_ASCII") => {
            "the database has no encoding (`SQL_ASCII`), so other programs may misread its texts; for \
             a new replica use `ENCODING 'UTF8' TEMPLATE template0`"
                .to_owned()
        }
        ("connections", _) if number < i64::from(CONNECTIONS) => format!(
            "Postgres allows {value} connections to this role and database, and the server opens up to \
             {CONNECTIONS}: reads fail when none is free; raise `max_connections` or the `CONNECTION \
             LIMIT` of role and database"
        ),
        ("superuser", "true") => {
            "the role is a superuser, so a fault in the server could harm all of Postgres; use a role \
             that only owns its database"
                .to_owned()
        }
        _ => return None,
    };
    Some(advice)
}

fn log_of_texts(setting: &str, safe: &str) -> String {
    format!(
        "`{setting}`: Postgres writes messages and names into its log; set it to `{safe}` for this role \
         or database"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_that_costs_something_is_named_with_a_better_value() {
        for (name, value, better) in [
            ("autovacuum", "off", "`on`"),
            ("track_counts", "off", "`on`"),
            ("checkpoint_timeout", "30", "`15min`"),
            ("max_wal_size", "64", "`4GB`"),
            ("shared_buffers", "1024", "8192kB"),
            ("commit_delay", "1000", "`0`"),
            ("log_statement", "all", "`none`"),
            ("log_min_duration_statement", "0", "`-1`"),
            ("log_duration", "on", "`off`"),
            ("server_encoding", "SQL_ASCII", "UTF8"),
            ("connections", "5", "up to 20"),
            ("superuser", "true", "owns its database"),
        ] {
            let advice = judged(name, value).unwrap();
            assert!(advice.contains(better), "{advice}");
        }
        for (name, value) in [
            ("autovacuum", "on"),
            ("checkpoint_timeout", "300"),
            ("max_wal_size", "4096"),
            ("shared_buffers", "16384"),
            ("commit_delay", "0"),
            ("log_statement", "ddl"),
            ("log_min_duration_statement", "-1"),
            ("server_encoding", "UTF8"),
            ("connections", "97"),
            ("superuser", "false"),
        ] {
            assert_eq!(judged(name, value), None, "{name}");
        }
    }
}
