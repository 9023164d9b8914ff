//! The log as cqrs-es knows an event repository.
//!
//! Reading one aggregate is left to postgres-es, whose table this is. Its streams are not used: where
//! the database fails they end like a history that is whole (F14). `persist` hands over to the one
//! writer and returns after its commit: the stamp an event came with is replaced by the writer's.

use causeway_domain::envelope::Envelope;
use causeway_domain::writing::Unstamped;
use cqrs_es::Aggregate;
use cqrs_es::persist::{
    PersistedEventRepository, PersistenceError, ReplayStream, SerializedEvent, SerializedSnapshot,
};
use postgres_es::PostgresEventRepository;
use serde_json::Value;

use super::{Log, SubmitError, rows};

/// Events that a stream reads at once.
const PAGE: usize = 200;

impl Log {
    fn stored(&self) -> PostgresEventRepository {
        PostgresEventRepository::new(self.pool.clone())
    }
}

fn unstamped<A: Aggregate>(event: &SerializedEvent) -> Result<Unstamped, PersistenceError> {
    let frame: Envelope = serde_json::from_value(event.payload.clone())?;
    Ok(Unstamped {
        aggregate: A::TYPE.to_owned(),
        id: event.aggregate_id.clone(),
        sequence: i64::try_from(event.sequence).unwrap_or(i64::MAX),
        group: frame.group,
        kind: frame.kind,
        event: frame.event,
    })
}

impl PersistedEventRepository for Log {
    async fn get_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        self.stored().get_events::<A>(aggregate_id).await
    }

    async fn get_last_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
        last_sequence: usize,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        self.stored()
            .get_last_events::<A>(aggregate_id, last_sequence)
            .await
    }

    async fn get_snapshot<A: Aggregate>(
        &self,
        _: &str,
    ) -> Result<Option<SerializedSnapshot>, PersistenceError> {
        Ok(None)
    }

    async fn persist<A: Aggregate>(
        &self,
        events: &[SerializedEvent],
        _: Option<(String, Value, usize)>,
    ) -> Result<(), PersistenceError> {
        let events = events
            .iter()
            .map(unstamped::<A>)
            .collect::<Result<Vec<_>, _>>()?;
        Self::persist(self, events)
            .await
            .map_err(|refused| match refused {
                SubmitError::Conflict => PersistenceError::OptimisticLockError,
                other => PersistenceError::ConnectionError(other.into()),
            })
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

    /// In the order of the log, page by page; a failure is the last item.
    async fn stream_all_events<A: Aggregate>(&self) -> Result<ReplayStream, PersistenceError> {
        let pool = self.pool.clone();
        let (mut feed, stream) = ReplayStream::new(PAGE);
        tokio::spawn(async move {
            let mut after = 0;
            loop {
                let page = match rows::of_type(&pool, A::TYPE, after, PAGE).await {
                    Ok(page) => page,
                    Err(failure) => {
                        let _ = feed
                            .push(Err(PersistenceError::ConnectionError(failure.into())))
                            .await;
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
