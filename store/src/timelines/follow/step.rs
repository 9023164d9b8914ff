//! One step: loads the affected rows, folds the events, and writes the changed rows and the
//! checkpoint in one transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};

use causeway_domain::timeline::{Checkpoint, Fact, Needs, Step};
use causeway_domain::version_vector::VersionVector;
use sqlx::{Connection, PgConnection};

use crate::log::Stored;
use crate::timelines::rows;

use super::StepError;

/// A quarantined event: its offset, and why it cannot be folded.
type Quarantined = (i64, String);

/// The outcome of a committed step.
pub(super) struct Committed {
    pub checkpoint: Checkpoint,
    pub step: Step,
    /// How many events were quarantined.
    pub quarantined: u64,
}

/// Folds events and commits.
pub(super) async fn fold_and_commit(
    connection: &mut PgConnection,
    former: &Checkpoint,
    events: &[Stored],
) -> Result<Committed, StepError> {
    let (checkpoint, vectors) = after(former, events);
    let (facts, quarantined) = guarded(|| read(events))?;
    let needs = guarded(|| Needs::of(&facts))?;
    let mut step = load(connection, &needs).await?;
    step.vectors = vectors;
    let step = guarded(move || {
        for fact in facts {
            step.fold(fact);
        }
        step
    })?;
    store(connection, &step, &quarantined, &checkpoint).await?;
    Ok(Committed {
        checkpoint,
        step,
        quarantined: u64::try_from(quarantined.len()).unwrap_or(0),
    })
}

/// Runs code that parses or folds events. A panic rejects the event and does not end the task.
fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, StepError> {
    // The state that a panic leaves behind is dropped with the step.
    catch_unwind(AssertUnwindSafe(run))
        .map_err(|_| StepError::Rejected("the read model panicked on this event".to_owned()))
}

/// Decodes events, and quarantines those that cannot be decoded.
fn read(events: &[Stored]) -> (Vec<Fact>, Vec<Quarantined>) {
    let mut facts = Vec::with_capacity(events.len());
    let mut quarantined: Vec<Quarantined> = Vec::new();
    for stored in events {
        let offset = stored.offset;
        match Fact::read(offset, &stored.event) {
            Ok(Some(fact)) if stored.sequence == 1 => facts.push(fact.with_nothing_before()),
            Ok(fact) => facts.extend(fact),
            Err(reason) => {
                tracing::error!(offset, %reason, "an event was set aside");
                quarantined.push((offset, reason.to_string()));
            }
        }
    }
    (facts, quarantined)
}

/// Quarantines the one rejected event, and moves the checkpoint past it.
pub(super) async fn quarantine(
    connection: &mut PgConnection,
    former: &Checkpoint,
    events: &[Stored],
    reason: &str,
) -> sqlx::Result<Committed> {
    let (checkpoint, vectors) = after(former, events);
    let rejected: Vec<Quarantined> = events
        .iter()
        .map(|stored| (stored.offset, reason.to_owned()))
        .collect();
    let mut transaction = connection.begin().await?;
    rows::quarantine(&mut transaction, &rejected).await?;
    rows::store_vectors(&mut transaction, &vectors).await?;
    rows::store_checkpoint(&mut transaction, &checkpoint).await?;
    transaction.commit().await?;
    for (offset, _) in rejected {
        tracing::error!(offset, %reason, "an event was set aside");
    }
    Ok(Committed {
        checkpoint,
        step: Step::default(),
        quarantined: 1,
    })
}

/// Returns the checkpoint after some events, and the vectors to store for offsets among them.
fn after(former: &Checkpoint, events: &[Stored]) -> (Checkpoint, Vec<(i64, VersionVector)>) {
    let mut checkpoint = former.clone();
    let vectors = events
        .iter()
        .filter_map(|stored| checkpoint.advance(stored.offset, &stored.event.envelope.stamp))
        .collect();
    (checkpoint, vectors)
}

async fn load(connection: &mut PgConnection, needs: &Needs) -> sqlx::Result<Step> {
    let mut step = Step::default();
    if !needs.messages.is_empty() {
        (step.former, step.early_likes) = rows::former(connection, &needs.messages).await?;
    }
    if !needs.likes.is_empty() {
        step.likes = rows::likes(connection, &needs.likes).await?;
    }
    if !needs.members.is_empty() {
        step.members = rows::members(connection, &needs.members).await?;
    }
    Ok(step)
}

/// Writes the changed rows and the checkpoint in one transaction: usually one statement.
async fn store(
    connection: &mut PgConnection,
    step: &Step,
    quarantined: &[Quarantined],
    checkpoint: &Checkpoint,
) -> sqlx::Result<()> {
    let is_news_only = quarantined.is_empty()
        && step.likes_counts.is_empty()
        && step.changed_likes.is_empty()
        && step.changed_members.is_empty()
        && step.growth.is_empty();
    if is_news_only {
        return rows::store_news(connection, step, checkpoint).await;
    }
    let mut transaction = connection.begin().await?;
    rows::store_news(&mut transaction, step, checkpoint).await?;
    store_changes(&mut transaction, step).await?;
    if !quarantined.is_empty() {
        rows::quarantine(&mut transaction, quarantined).await?;
    }
    transaction.commit().await
}

async fn store_changes(connection: &mut PgConnection, step: &Step) -> sqlx::Result<()> {
    if !step.likes_counts.is_empty() {
        rows::store_likes_counts(connection, &step.likes_counts).await?;
    }
    if !step.changed_likes.is_empty() {
        rows::store_likes(connection, step).await?;
    }
    if !step.changed_members.is_empty() {
        rows::store_members(connection, step).await?;
    }
    if !step.growth.is_empty() {
        rows::store_growth(connection, step).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_panics_over_an_event_refuses_it() {
        assert!(matches!(guarded(|| 3), Ok(3)));
        assert!(matches!(
            guarded(|| panic!("on purpose")),
            Err::<(), _>(StepError::Rejected(_))
        ));
    }
}
