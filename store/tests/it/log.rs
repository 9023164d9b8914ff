//! The log and its read model on a real Postgres.

use causeway_domain::group::GroupCommand;
use causeway_domain::names::{MessageId, UserId};
use causeway_domain::post::PostCommand;
use causeway_domain::post::Refusal;
use causeway_domain::text::IdempotencyKey;
use causeway_domain::writing::{Action, Beginning, Command};
use causeway_store::log::SubmitError;
use causeway_store::timelines::Anchor;

use crate::support::{Open, Store, name, post, user};

#[tokio::test]
async fn what_is_acknowledged_is_shown() {
    let store = Store::create(1).await;
    let replica = store.open().await;

    replica.join("lobby", "anna").await;
    let done = replica.say("lobby", "anna", "hello").await;
    replica.timelines.catch_up().await.unwrap();

    assert_eq!(done.head.offset, 2);
    assert_eq!(replica.texts("lobby").await, ["hello"]);
}

#[tokio::test]
async fn only_members_post_and_no_author_likes_their_own_message() {
    let store = Store::create(1).await;
    let replica = store.open().await;
    let refused = |outcome: Result<_, SubmitError>| match outcome {
        Err(SubmitError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    };
    let id = MessageId("m".into());

    let to_nobody = replica.log.submit(post("lobby", "anna", "a", None)).await;
    replica.join("lobby", "anna").await;
    let by_stranger = replica.log.submit(post("lobby", "bert", "b", None)).await;
    let posted = replica.say("lobby", "anna", "hello").await;
    let own = posted.event.unwrap().envelope.id.clone();
    let like = |message: MessageId, who: &str| Command {
        group: name("lobby"),
        action: Action::Post(message, PostCommand::Like { user: user(who) }),
        above: None,
    };
    let own = replica.log.submit(like(MessageId(own), "anna")).await;
    let unknown = replica.log.submit(like(id, "anna")).await;

    assert_eq!(refused(to_nobody), Refusal::NoSuchGroup);
    assert_eq!(refused(by_stranger), Refusal::NotAMember);
    assert_eq!(refused(own), Refusal::OwnMessage);
    assert_eq!(refused(unknown), Refusal::NoSuchMessage);
}

#[tokio::test]
async fn a_key_names_one_message_also_within_one_batch() {
    let store = Store::create(1).await;
    let replica = store.open().await;
    replica.join("lobby", "anna").await;
    let key = IdempotencyKey::parse("k").ok();

    let twice = tokio::join!(
        replica
            .log
            .submit(post("lobby", "anna", "once", key.clone())),
        replica
            .log
            .submit(post("lobby", "anna", "once", key.clone())),
    );
    let reused = replica
        .log
        .submit(post("lobby", "anna", "other", key))
        .await;
    replica.timelines.catch_up().await.unwrap();

    assert!(twice.0.unwrap().event.is_some());
    assert!(twice.1.unwrap().event.is_none());
    assert!(matches!(
        reused,
        Err(SubmitError::Refused(Refusal::KeyReused))
    ));
    assert_eq!(replica.texts("lobby").await, ["once"]);
}

#[tokio::test]
async fn a_batch_separates_repeats_from_new_posts_and_checks_the_key_before_the_membership() {
    let store = Store::create(1).await;
    let replica = store.open().await;
    let keyed = |who: &str, text: &str| post("lobby", who, text, IdempotencyKey::parse(text).ok());
    for who in ["anna", "bert"] {
        replica.join("lobby", who).await;
    }
    for (who, text) in [("anna", "a"), ("bert", "b")] {
        replica.log.submit(keyed(who, text)).await.unwrap();
    }
    let leave = Command {
        group: name("lobby"),
        action: Action::Group(GroupCommand::Leave { user: user("anna") }),
        above: None,
    };
    replica.log.submit(leave).await.unwrap();

    let (left, gone, repeated, new) = tokio::join!(
        replica.log.submit(keyed("anna", "a")),
        replica.log.submit(keyed("anna", "new of anna")),
        replica.log.submit(keyed("bert", "b")),
        replica.log.submit(keyed("bert", "new of bert")),
    );
    let alone = replica.log.submit(keyed("anna", "a")).await;
    replica.timelines.catch_up().await.unwrap();

    assert!(left.unwrap().event.is_none());
    assert!(matches!(
        gone,
        Err(SubmitError::Refused(Refusal::NotAMember))
    ));
    assert!(repeated.unwrap().event.is_none());
    assert!(new.unwrap().event.is_some());
    assert!(alone.unwrap().event.is_none());
    assert_eq!(replica.texts("lobby").await, ["a", "b", "new of bert"]);
}

#[tokio::test]
async fn a_restart_continues_the_epoch_and_the_chain() {
    let store = Store::create(1).await;
    let replica = store.open().await;
    replica.join("lobby", "anna").await;
    let before = replica.say("lobby", "anna", "before").await;
    let origin = replica.log.origin();
    replica.close().await;

    let replica = store.open().await;
    let after = replica.say("lobby", "anna", "after").await;
    replica.timelines.catch_up().await.unwrap();

    assert_eq!(replica.log.beginning(), Beginning::Continued);
    assert_eq!(replica.log.origin(), origin);
    let stamp = after.event.unwrap().envelope.stamp.clone();
    assert_eq!(stamp.seq, 3);
    assert!(stamp.hlc > before.event.unwrap().envelope.stamp.hlc);
    assert_eq!(replica.texts("lobby").await, ["before", "after"]);
}

#[tokio::test]
async fn a_wiped_replica_writes_under_a_new_epoch() {
    let store = Store::create(1).await;
    let replica = store.open().await;
    replica.join("lobby", "anna").await;
    let first = replica.log.origin();
    replica.close().await;
    let emptied = store.with_a_fresh_database().await;

    let replica = emptied.open().await;

    assert!(matches!(replica.log.beginning(), Beginning::Renewed(_)));
    assert_ne!(replica.log.origin(), first);
}

#[tokio::test]
async fn both_sides_of_a_cut_show_one_history_after_exchanging_events() {
    let (left, right) = tokio::join!(Store::create(1), Store::create(2));
    let (left, right) = tokio::join!(left.open(), right.open());
    left.join("lobby", "anna").await;
    right.join("lobby", "bert").await;
    for i in 0..20 {
        left.say("lobby", "anna", &format!("left {i}")).await;
        right.say("lobby", "bert", &format!("right {i}")).await;
    }

    left.pull_from(&right).await;
    right.pull_from(&left).await;

    let texts = left.texts("lobby").await;
    assert_eq!(texts.len(), 40);
    assert_eq!(right.texts("lobby").await, texts);
    assert_eq!(left.log.head().vector, right.log.head().vector);
    assert_eq!(left.log.head().hashes, right.log.head().hashes);
}

#[tokio::test]
async fn of_two_copies_the_lower_one_is_the_message() {
    let (left, right) = tokio::join!(Store::create(1), Store::create(2));
    let (left, right) = tokio::join!(left.open(), right.open());
    let key = IdempotencyKey::parse("k").ok();
    for side in [&left, &right] {
        side.join("lobby", "anna").await;
        let sent = side.log.submit(post("lobby", "anna", "once", key.clone()));
        sent.await.unwrap();
    }

    left.pull_from(&right).await;
    right.pull_from(&left).await;

    let pages = [&left, &right].map(|side| {
        side.timelines
            .page(name("lobby"), Anchor::Newest, 50, UserId("nobody".into()))
    });
    let [left, right] = pages;
    let (left, right) = tokio::join!(left, right);
    let (left, right) = (left.unwrap().unwrap(), right.unwrap().unwrap());
    assert_eq!(left.messages.len(), 1);
    assert_eq!(left.messages, right.messages);
}

#[tokio::test]
async fn an_event_is_stored_only_after_its_past() {
    let (left, right) = tokio::join!(Store::create(1), Store::create(2));
    let (left, right) = tokio::join!(left.open(), right.open());
    left.join("lobby", "anna").await;
    left.say("lobby", "anna", "first").await;
    left.say("lobby", "anna", "second").await;
    let events = left
        .log
        .read_beyond(&right.log.head().vector, 100, usize::MAX)
        .await
        .unwrap();

    let (early, _) = right.log.absorb(vec![events[2].clone()]).await.unwrap();
    let (twice, _) = right
        .log
        .absorb(vec![events[0].clone(), events[0].clone()])
        .await
        .unwrap();
    let mut forged = events[1].clone();
    forged.bytes = forged.bytes.replace("first", "other").into();
    let (forged, _) = right.log.absorb(vec![forged]).await.unwrap();
    let (all, _) = right.log.absorb(events).await.unwrap();

    assert_eq!((early.stored, early.missing[0].count()), (0, 2));
    assert_eq!(twice.stored, 1);
    assert_eq!(forged.forked, [left.log.origin()]);
    assert_eq!(all.stored, 2);
    assert_eq!(right.log.head().vector, left.log.head().vector);
}

#[tokio::test]
async fn the_closed_timestamp_rises_above_events_of_a_peer_whose_clock_is_ahead() {
    let (fast, right) = tokio::join!(Store::create_ahead(1, 3_600_000), Store::create(2));
    let (fast, right) = tokio::join!(fast.open(), right.open());
    fast.join("lobby", "anna").await;

    right.pull_from(&fast).await;

    let mut commits = right.log.commits();
    let risen = commits.wait_for(|head| head.closed_ts >= head.highest);
    let risen = tokio::time::timeout(std::time::Duration::from_secs(20), risen).await;
    assert!(risen.expect("within the deadline").is_ok());
}

#[tokio::test]
async fn a_rebuilt_read_model_shows_the_same() {
    let store = Store::create(1).await;
    let replica = store.open().await;
    replica.join("lobby", "anna").await;
    for i in 0..30 {
        replica.say("lobby", "anna", &i.to_string()).await;
    }
    replica.timelines.catch_up().await.unwrap();
    let before = replica.texts("lobby").await;
    causeway_store::timelines::rebuild(&replica.log)
        .await
        .unwrap();
    replica.close().await;

    let replica = store.open().await;
    replica.timelines.catch_up().await.unwrap();

    assert_eq!(replica.texts("lobby").await, before);
}

#[tokio::test]
async fn a_rebuild_yields_the_same_tables_for_any_step_sizes() {
    let (store, other) = tokio::join!(Store::create(1), Store::create_ahead(2, 60_000));
    let (left, right) = tokio::join!(store.open(), other.open());
    left.join("lobby", "anna").await;
    right.pull_from(&left).await;
    for round in 0..100 {
        // The same users contradict themselves on both sides, in steps of one event and of many.
        left.leave("lobby", "anna").await;
        right.join("lobby", "anna").await;
        left.join("lobby", "bert").await;
        right.leave("lobby", "bert").await;
        if round % 30 == 0 {
            right.pull_from(&left).await;
        }
        right.timelines.catch_up().await.unwrap();
    }
    right.pull_from(&left).await;
    right.timelines.catch_up().await.unwrap();
    let before = tables(&right).await;
    causeway_store::timelines::rebuild(&right.log)
        .await
        .unwrap();
    right.close().await;

    let right = other.open().await;
    right.timelines.catch_up().await.unwrap();

    assert_eq!(tables(&right).await, before);
    assert!(before.iter().any(|row| row.contains("overruled")));
    assert!(before.iter().any(|row| row.starts_with("log_vectors")));
}

/// Every row of the read model.
async fn tables(of: &Open) -> Vec<String> {
    let mut rows = Vec::new();
    for table in [
        "groups",
        "members",
        "messages",
        "likes",
        "feed",
        "quarantine",
        "log_vectors",
    ] {
        let query = format!("SELECT '{table} ' || to_jsonb(t)::text FROM {table} t ORDER BY 1");
        let found: Vec<String> = sqlx::query_scalar(&query)
            .fetch_all(of.log.pool())
            .await
            .unwrap();
        rows.extend(found);
    }
    rows
}

#[tokio::test]
async fn cqrs_es_reads_what_the_writer_wrote_and_writes_nothing() {
    use causeway_domain::group::{Group, Membership};
    use causeway_store::log::{EventRepository, OFFSET};
    use cqrs_es::persist::PersistedEventRepository as _;

    let store = Store::create(1).await;
    let replica = store.open().await;
    replica.join("lobby", "anna").await;
    replica.say("lobby", "anna", "hello").await;
    replica.leave("lobby", "anna").await;
    let options = &store.options;
    let events = EventRepository::open(&options.database_url, &options.cluster, options.replica);
    let events = events.await.unwrap();

    let lobby = events.history::<Group>("lobby").await.unwrap().unwrap();
    let attic = events.history::<Group>("attic").await.unwrap();
    let refused = events.persist::<Group>(&[], None).await;

    let offsets = lobby
        .events
        .iter()
        .map(|event| event.metadata[OFFSET].as_str());
    assert_eq!(offsets.collect::<Vec<_>>(), ["1", "3"]);
    let anna = user("anna").id;
    assert_eq!(lobby.state.membership(&anna), Membership::NotAMember);
    assert!(attic.is_none());
    assert!(refused.is_err());
}
