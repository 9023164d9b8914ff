//! The settings of every session on the database, sent with one statement after it is opened.
//!
//! A Postgres that somebody else has set up may have any value in its configuration, its database
//! or its role. Whatever changes what a statement means, how long it may take, or which plan it
//! gets is set here, so that the server behaves the same on every Postgres. Startup options would
//! save a round trip, but a pooler refuses them.

use sqlx::postgres::PgConnectOptions;
use sqlx::{Executor as _, PgConnection};

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Appends to the log.
    Writing,
    /// Projects the log. The read model can be rebuilt from the log, so its commits are
    /// asynchronous.
    Projecting,
    /// Reads, and does small repairs.
    Reading,
    /// Reads, and can change nothing.
    Looking,
}

/// Name and value. The time limits come first: a hostile one applies to this statement, too.
const EVERY: &[(&str, &str)] = &[
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("exit_on_error", "off"),
    // The isolation that the statements are written for.
    ("default_transaction_isolation", "'read committed'"),
    ("default_transaction_deferrable", "off"),
    // Which tables are meant, and all of their rows: a policy that hides some is an error.
    ("search_path", "public, pg_temp"),
    ("row_security", "off"),
    ("default_tablespace", "''"),
    ("default_table_access_method", "heap"),
    // What texts and values mean.
    ("client_encoding", "'UTF8'"),
    ("standard_conforming_strings", "on"),
    ("transform_null_equals", "off"),
    ("array_nulls", "on"),
    ("bytea_output", "hex"),
    ("DateStyle", "'ISO, MDY'"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "'UTC'"),
    ("extra_float_digits", "2"),
    ("client_min_messages", "notice"),
    // Indexes for everything. A new database has no statistics, and a statement prepared while the
    // tables are empty would use sequential scans until Postgres analyzes them, minutes later.
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "on"),
    ("enable_hashagg", "on"),
    ("enable_hashjoin", "on"),
    ("enable_incremental_sort", "on"),
    ("enable_indexonlyscan", "on"),
    ("enable_indexscan", "on"),
    ("enable_material", "on"),
    ("enable_memoize", "on"),
    ("enable_mergejoin", "on"),
    ("enable_nestloop", "on"),
    ("enable_sort", "on"),
    // A plan that cannot avoid a sequential scan counts as expensive because of the line above, so
    // Postgres would compile it, which takes a hundred times as long as its execution, or start
    // processes for it.
    ("jit", "off"),
    ("max_parallel_workers_per_gather", "0"),
    ("work_mem", "'4MB'"),
];

/// Ends the transaction of a lost client, which would keep the writer's lock otherwise.
const LOST_CLIENT: &[(&str, &str)] = &[
    ("idle_in_transaction_session_timeout", "'5s'"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10000"),
];

/// The writer and the read model plan each statement once. Their few statements have the same plan
/// for all parameters, and planning costs as much as execution.
const PLANNED_ONCE: (&str, &str) = ("plan_cache_mode", "force_generic_plan");
const PLANNED_AT_WILL: (&str, &str) = ("plan_cache_mode", "auto");

impl Purpose {
    fn settings(self) -> Vec<(&'static str, &'static str)> {
        let read_only = if self == Self::Looking { "on" } else { "off" };
        let mut settings = EVERY.to_vec();
        settings.extend(LOST_CLIENT);
        settings.push(("default_transaction_read_only", read_only));
        settings.push(match self {
            Self::Writing | Self::Projecting => PLANNED_ONCE,
            Self::Reading | Self::Looking => PLANNED_AT_WILL,
        });
        if self == Self::Projecting {
            settings.push(("synchronous_commit", "off"));
        }
        settings
    }
}

/// Takes out of the options what only some poolers accept.
pub(super) fn portable(options: PgConnectOptions) -> PgConnectOptions {
    options.extra_float_digits(None)
}

/// Gives a new session its settings.
pub(crate) async fn settle(connection: &mut PgConnection, purpose: Purpose) -> sqlx::Result<()> {
    let version = connection.server_version_num();
    let statement = statement(purpose, version);
    connection.execute(statement.as_str()).await?;
    Ok(())
}

fn statement(purpose: Purpose, version: Option<u32>) -> String {
    let mut settings = purpose.settings();
    if version >= Some(17_00_00) {
        settings.insert(0, ("transaction_timeout", "0"));
    }
    let settings = settings.into_iter();
    let statements = settings.map(|(name, value)| format!("SET {name} = {value}"));
    statements.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use causeway_postgres::Disposable;
    use sqlx::Connection as _;

    use super::*;

    #[tokio::test]
    async fn a_session_has_its_own_settings_whatever_its_role_says() {
        let postgres = tokio::task::spawn_blocking(Disposable::shared)
            .await
            .unwrap();
        let mut admin = PgConnection::connect(&postgres.url()).await.unwrap();
        admin
            .execute("CREATE ROLE hostile LOGIN SUPERUSER")
            .await
            .unwrap();
        for purpose in [
            Purpose::Writing,
            Purpose::Projecting,
            Purpose::Reading,
            Purpose::Looking,
        ] {
            let settings = purpose.settings();
            for (name, value) in &settings {
                let hostile = other_than(value);
                let set = format!("ALTER ROLE hostile SET {name} = {hostile}");
                // Where it is not a value of this setting, it is no danger.
                let _ = admin.execute(set.as_str()).await;
            }
            let url = postgres.url().replace("://postgres@", "://hostile@");
            let mut session = PgConnection::connect(&url).await.unwrap();

            settle(&mut session, purpose).await.unwrap();

            // A local socket has no keepalives.
            let shown_here = settings
                .iter()
                .filter(|(name, _)| !name.starts_with("tcp_"));
            for (name, value) in shown_here {
                let shown: String = sqlx::query_scalar("SELECT current_setting($1)")
                    .bind(*name)
                    .fetch_one(&mut session)
                    .await
                    .unwrap();
                assert_eq!(shown, value.trim_matches('\''), "{purpose:?} {name}");
            }
            let plan = "EXPLAIN (ANALYZE) SELECT a.relname FROM pg_class a
                        JOIN pg_attribute b ON b.attname <> a.relname";
            let lines: Vec<String> = sqlx::query_scalar(plan)
                .fetch_all(&mut session)
                .await
                .unwrap();
            assert!(!lines.iter().any(|line| line.contains("JIT")), "{lines:?}");
        }
    }

    fn other_than(value: &str) -> &'static str {
        match value {
            "on" => "off",
            "off" => "on",
            "0" => "7",
            "2" => "-3",
            "'read committed'" => "serializable",
            "'UTF8'" => "'LATIN1'",
            "'4MB'" => "'64kB'",
            "'UTC'" => "'Asia/Kathmandu'",
            "'ISO, MDY'" => "'SQL, DMY'",
            "hex" => "escape",
            "postgres" => "sql_standard",
            "notice" => "debug5",
            "force_generic_plan" | "auto" => "force_custom_plan",
            _ => "'nowhere'",
        }
    }
}
