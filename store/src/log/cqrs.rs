//! The log as a read-only event repository of cqrs-es. Only the writer, which stamps each event,
//! inserts events.
//!
//! postgres-es, which defines the table, reads single aggregates. Its streams are not used: after a
//! database failure they end like a complete history (F14).

use std::collections::BTreeMap;

use causeway_domain::ids::ReplicaId;
use cqrs_es::persist::{
    PersistedEventRepository, PersistedEventStore, PersistenceError, ReplayStream, SerializedEvent,
    SerializedSnapshot,
};
use cqrs_es::{Aggregate, AggregateError, EventEnvelope, EventStore};
use postgres_es::PostgresEventRepository;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::connection::read_only;
use super::{OpenError, look, rows};

/// Events per page of a stream.
const PAGE: usize = 200;
/// The metadata key of an event's offset.
pub const OFFSET: &str = "offset";

/// The events of a replica, aggregate by aggregate. A clone shares the connections.
#[derive(Clone)]
pub struct EventRepository {
    pool: PgPool,
}

/// The events of an aggregate, in the order in which this replica stored them, and its state.
#[derive(Debug)]
pub struct History<A: Aggregate> {
    /// Its events. Their metadata hold their [`OFFSET`].
    pub events: Vec<EventEnvelope<A>>,
    /// The state that they fold to.
    pub state: A,
}

impl EventRepository {
    /// Opens the events of a replica read-only, also while its server runs.
    pub async fn open(
        database_url: &str,
        cluster: &str,
        replica: ReplicaId,
    ) -> Result<Self, OpenError> {
        let pool = read_only(database_url).await?;
        let mut connection = pool.acquire().await?;
        look(&mut connection, cluster, replica, true).await?;
        let is_used: bool = sqlx::query_scalar("SELECT to_regclass('events') IS NOT NULL")
            .fetch_one(&mut *connection)
            .await?;
        drop(connection);
        if is_used {
            Ok(Self { pool })
        } else {
            Err(OpenError::Empty)
        }
    }

    /// Reads an aggregate; `None` if it has no events.
    pub async fn history<A: Aggregate>(
        &self,
        id: &str,
    ) -> Result<Option<History<A>>, AggregateError<A::Error>> {
        let store = PersistedEventStore::<_, A>::new_event_store(self.clone());
        let events = store.load_events(id).await?;
        if events.is_empty() {
            return Ok(None);
        }
        let state = store.load_aggregate(id).await?.aggregate;
        Ok(Some(History { events, state }))
    }

    fn stored(&self) -> PostgresEventRepository {
        PostgresEventRepository::new(self.pool.clone())
    }

    /// Adds the offset to each event's metadata.
    async fn with_offsets<A: Aggregate>(
        &self,
        id: &str,
        mut events: Vec<SerializedEvent>,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        let offsets = rows::offsets(&self.pool, A::TYPE, id).await;
        let offsets: BTreeMap<usize, String> = offsets.map_err(unavailable)?;
        for event in &mut events {
            if let Some(offset) = offsets.get(&event.sequence) {
                event.metadata = json!({ OFFSET: offset });
            }
        }
        Ok(events)
    }
}

fn unavailable(failure: sqlx::Error) -> PersistenceError {
    PersistenceError::ConnectionError(failure.into())
}

impl PersistedEventRepository for EventRepository {
    async fn get_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        let events = self.stored().get_events::<A>(aggregate_id).await?;
        self.with_offsets::<A>(aggregate_id, events).await
    }

    async fn get_last_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
        last_sequence: usize,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        let stored = self.stored();
        let events = stored.get_last_events::<A>(aggregate_id, last_sequence);
        self.with_offsets::<A>(aggregate_id, events.await?).await
    }

    /// There are no snapshots: states are folded from events.
    async fn get_snapshot<A: Aggregate>(
        &self,
        _: &str,
    ) -> Result<Option<SerializedSnapshot>, PersistenceError> {
        Ok(None)
    }

    /// Refuses: only the writer can give an event its stamp.
    async fn persist<A: Aggregate>(
        &self,
        _: &[SerializedEvent],
        _: Option<(String, Value, usize)>,
    ) -> Result<(), PersistenceError> {
        let refused = "events are written through the log's writer alone";
        Err(PersistenceError::UnknownError(refused.into()))
    }

    async fn stream_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
    ) -> Result<ReplayStream, PersistenceError> {
        let events = self.get_events::<A>(aggregate_id).await?;
        let (mut feed, stream) = ReplayStream::new(PAGE);
        tokio::spawn(async move {
            for event in events {
                if feed.push(Ok(event)).await.is_err() {
                    return;
                }
            }
        });
        Ok(stream)
    }

    /// Streams in the order of the log, page by page; a failure is the last item.
    async fn stream_all_events<A: Aggregate>(&self) -> Result<ReplayStream, PersistenceError> {
        let pool = self.pool.clone();
        let (mut feed, stream) = ReplayStream::new(PAGE);
        tokio::spawn(async move {
            let mut after = 0;
            loop {
                let page = match rows::of_type(&pool, A::TYPE, after, PAGE).await {
                    Ok(page) => page,
                    Err(failure) => {
                        let _ = feed.push(Err(unavailable(failure))).await;
                        return;
                    }
                };
                let Some(last) = page.last() else { return };
                after = last.0;
                for (_, event) in page {
                    if feed.push(Ok(event)).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(stream)
    }
}
