//! One step: what is there is loaded, the events are folded in, and what has changed is written with
//! the checkpoint, in one transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};

use causeway_domain::timeline::{Checkpoint, Fact, Needs, Step};
use causeway_domain::version_vector::VersionVector;
use sqlx::{Connection, PgConnection};

use crate::log::Stored;
use crate::timelines::rows;

use super::Failed;

/// An event that was set aside.
type SetAside = (i64, String);

/// What was committed.
pub(super) struct TakenIn {
    pub checkpoint: Checkpoint,
    pub step: Step,
    /// How many events were set aside.
    pub set_aside: u64,
}

/// Folds events in and commits.
pub(super) async fn take_in(
    connection: &mut PgConnection,
    former: &Checkpoint,
    events: &[Stored],
) -> Result<TakenIn, Failed> {
    let (checkpoint, vectors) = after(former, events);
    let (facts, set_aside) = guarded(|| read(events))?;
    let needs = guarded(|| Needs::of(&facts))?;
    let mut step = load(connection, &needs).await?;
    step.vectors = vectors;
    let step = guarded(move || {
        for fact in facts {
            step.fold(fact);
        }
        step
    })?;
    store(connection, &step, &set_aside, &checkpoint).await?;
    Ok(TakenIn {
        checkpoint,
        step,
        set_aside: u64::try_from(set_aside.len()).unwrap_or(0),
    })
}

/// Does what looks into events: a defect that panics over one of them is that event's refusal, not
/// the end of the task.
fn guarded<T>(does: impl FnOnce() -> T) -> Result<T, Failed> {
    // What it was given is dropped with the step.
    catch_unwind(AssertUnwindSafe(does))
        .map_err(|_| Failed::Refused("the read model panicked over it".to_owned()))
}

/// Reads what events say, and sets those aside that cannot be read.
fn read(events: &[Stored]) -> (Vec<Fact>, Vec<SetAside>) {
    let mut facts = Vec::with_capacity(events.len());
    let mut set_aside: Vec<SetAside> = Vec::new();
    for stored in events {
        let arrival = stored.arrival;
        match Fact::read(arrival, &stored.event) {
            Ok(Some(fact)) if stored.sequence == 1 => facts.push(fact.with_nothing_before()),
            Ok(fact) => facts.extend(fact),
            Err(reason) => {
                tracing::error!(arrival, %reason, "an event was set aside");
                set_aside.push((arrival, reason.to_string()));
            }
        }
    }
    (facts, set_aside)
}

/// Sets the one event aside that was refused, and goes on behind it.
pub(super) async fn pass_over(
    connection: &mut PgConnection,
    former: &Checkpoint,
    events: &[Stored],
    reason: &str,
) -> sqlx::Result<TakenIn> {
    let (checkpoint, vectors) = after(former, events);
    let refused: Vec<SetAside> = events
        .iter()
        .map(|stored| (stored.arrival, reason.to_owned()))
        .collect();
    let mut transaction = connection.begin().await?;
    rows::set_aside(&mut transaction, &refused).await?;
    rows::store_vectors(&mut transaction, &vectors).await?;
    rows::store_checkpoint(&mut transaction, &checkpoint).await?;
    transaction.commit().await?;
    for (arrival, _) in refused {
        tracing::error!(arrival, %reason, "an event was set aside");
    }
    Ok(TakenIn {
        checkpoint,
        step: Step::default(),
        set_aside: 1,
    })
}

/// Returns the checkpoint after some events, and the vectors that are to be kept on the way.
fn after(former: &Checkpoint, events: &[Stored]) -> (Checkpoint, Vec<(i64, VersionVector)>) {
    let mut checkpoint = former.clone();
    let vectors = events
        .iter()
        .filter_map(|stored| checkpoint.advance(stored.arrival, &stored.event.envelope.stamp))
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

/// Writes what has changed, with the checkpoint, in one transaction: mostly one statement.
async fn store(
    connection: &mut PgConnection,
    step: &Step,
    set_aside: &[SetAside],
    checkpoint: &Checkpoint,
) -> sqlx::Result<()> {
    let is_all = set_aside.is_empty()
        && step.likes_counts.is_empty()
        && step.changed_likes.is_empty()
        && step.changed_members.is_empty()
        && step.growth.is_empty();
    if is_all {
        return rows::store_news(connection, step, checkpoint).await;
    }
    let mut transaction = connection.begin().await?;
    rows::store_news(&mut transaction, step, checkpoint).await?;
    store_changes(&mut transaction, step).await?;
    if !set_aside.is_empty() {
        rows::set_aside(&mut transaction, set_aside).await?;
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
            guarded(|| panic!("as asked")),
            Err::<(), _>(Failed::Refused(_))
        ));
    }
}
