//! Whether a replica can serve, and its numbers for Prometheus.

use std::collections::BTreeSet;
use std::time::Duration;

use causeway_domain::writing::Beginning;
use causeway_replicator_core::alarm::Alarm;
use causeway_replicator_core::liveness::{Outward, Status};
use prometheus::{Encoder, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};
use tokio::time::timeout;

use crate::alarms;
use crate::context::Parts;

/// How long the database may take to say that it is there.
const DATABASE: Duration = Duration::from_secs(2);
/// How long the writer may be without a session.
const WRITING: Duration = Duration::from_secs(2);
/// How long the read model may fail to follow.
const FOLLOWING: Duration = Duration::from_secs(2);
/// How long a start with a new epoch waits for the first peer to answer. One that answered and is
/// down by now is not waited for.
const ALONE: Duration = Duration::from_secs(5);

/// Says why a replica is not ready; nothing when it is.
pub async fn unready(parts: &Parts) -> Option<String> {
    if let Some(why) = does_not_answer(parts).await {
        return Some(why.to_owned());
    }
    if let Some(why) = cannot_write(parts) {
        return Some(format!("nothing can be written: {why}"));
    }
    is_catching_up(parts).then(|| "a new epoch has not caught up with any peer yet".to_owned())
}

async fn does_not_answer(parts: &Parts) -> Option<&'static str> {
    let asked = sqlx::query("SELECT 1").execute(parts.log.pool());
    if !matches!(timeout(DATABASE, asked).await, Ok(Ok(_))) {
        return Some("the database does not answer");
    }
    if let Some(since) = parts.timelines.following().failing_since
        && since.elapsed() > FOLLOWING
    {
        return Some("the read model cannot follow the log");
    }
    None
}

/// Says why no message of anybody is taken.
fn cannot_write(parts: &Parts) -> Option<String> {
    if parts.log.is_file_stuck() {
        return Some("the file beside the database cannot be written".to_owned());
    }
    let without = parts.log.no_session()?;
    (without.since.elapsed() > WRITING).then_some(without.why)
}

/// After a start with a new epoch the history of others must come first, unless nobody answers.
fn is_catching_up(parts: &Parts) -> bool {
    let knowledge = parts.knowledge();
    if parts.log.beginning() == Beginning::Continued || knowledge.has_caught_up {
        return false;
    }
    let answers = knowledge
        .peers
        .values()
        .any(|peer| peer.liveness.status != Status::Down);
    answers || (!knowledge.peers.is_empty() && parts.started.elapsed() < ALONE)
}

/// The numbers, in the text format of Prometheus.
pub fn metrics(parts: &Parts) -> String {
    gathered(parts).unwrap_or_else(|failure| {
        tracing::error!(%failure, "the metrics could not be gathered");
        String::new()
    })
}

fn gathered(parts: &Parts) -> prometheus::Result<String> {
    let registry = Registry::new();
    let gauge = |name: &str, help: &str, value: i64| {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(value);
        registry.register(Box::new(gauge))
    };
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    // In this order: the read model may take a step in between.
    let checkpoint = parts.timelines.checkpoint();
    let head = parts.log.head();
    gauge("causeway_events", "Events held.", head.arrival)?;
    gauge(
        "causeway_timeline_lag_events",
        "Events held that the read model has not folded in yet.",
        head.arrival - checkpoint.arrival,
    )?;
    gauge(
        "causeway_events_set_aside",
        "Events that the read model could not take in: kept, passed on, shown by nobody.",
        signed(parts.timelines.following().set_aside),
    )?;
    gauge(
        "causeway_streams",
        "Streams open.",
        i64::try_from(parts.feeds.open_streams()).unwrap_or(i64::MAX),
    )?;
    if let Some(room) = parts.disk.room() {
        gauge(
            "causeway_disk_free_bytes",
            "Room left on the disk of the data folder.",
            signed(room.free_bytes),
        )?;
    }
    gauge(
        "causeway_writes_stopped",
        "Whether writes are refused: that disk is nearly full or cannot be written, or the database \
         takes none.",
        i64::from(!parts.disk.has_room() || cannot_write(parts).is_some()),
    )?;
    let settings = IntGaugeVec::new(
        Opts::new(
            "causeway_unsafe_postgres",
            "Settings of Postgres with which acknowledged writes can be lost.",
        ),
        &["setting"],
    )?;
    registry.register(Box::new(settings.clone()))?;
    for found in parts.log.unsafe_settings() {
        settings.with_label_values(&[&found.setting]).set(1);
    }
    let of_peer = |name: &str, help: &str| {
        let gauge = IntGaugeVec::new(Opts::new(name, help), &["peer"])?;
        registry.register(Box::new(gauge.clone()))?;
        prometheus::Result::Ok(gauge)
    };
    let up = of_peer("causeway_peer_up", "Whether a peer was heard of lately.")?;
    let out = of_peer("causeway_peer_out_ok", "Whether calling a peer works.")?;
    let here = of_peer(
        "causeway_peer_missing_here",
        "Events that only the peer holds.",
    )?;
    let clock = of_peer(
        "causeway_peer_clock_offset_ms",
        "How far the clock of a peer is ahead of this one's.",
    )?;
    let there = of_peer("causeway_peer_missing_there", "Events that the peer lacks.")?;
    for line in parts.sight.replicator.view() {
        let peer = line.replica.to_string();
        up.with_label_values(&[&peer])
            .set(i64::from(line.status == Status::Up));
        out.with_label_values(&[&peer])
            .set(i64::from(line.out == Outward::Ok));
        if let Some(offset_ms) = line.clock_ms {
            clock.with_label_values(&[&peer]).set(offset_ms);
        }
        if let (Some(missing_here), Some(missing_there)) = (line.missing_here, line.missing_there) {
            here.with_label_values(&[&peer]).set(signed(missing_here));
            there.with_label_values(&[&peer]).set(signed(missing_there));
        }
    }
    traffic(&registry, parts)?;
    alarms(&registry, parts)?;
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// What went to and came from the peers.
fn traffic(registry: &Registry, parts: &Parts) -> prometheus::Result<()> {
    let of_peer = |name: &str, help: &str| {
        let counter = IntCounterVec::new(Opts::new(name, help), &["peer"])?;
        registry.register(Box::new(counter.clone()))?;
        prometheus::Result::Ok(counter)
    };
    let sent = of_peer(
        "causeway_peer_events_sent_total",
        "Events given to a peer, by push and when it pulled.",
    )?;
    let received = of_peer(
        "causeway_peer_events_received_total",
        "Events taken from a peer, by its push and by pull, also those held already.",
    )?;
    let left_out = of_peer(
        "causeway_peer_events_left_out_total",
        "How often an event of a peer could not be stored; what its origin wrote after it waits.",
    )?;
    for counted in parts.sight.replicator.traffic().counted() {
        let peer = [&*counted.peer.to_string()];
        sent.with_label_values(&peer).inc_by(counted.sent);
        received.with_label_values(&peer).inc_by(counted.received);
        left_out.with_label_values(&peer).inc_by(counted.left_out);
    }
    Ok(())
}

/// What an operator should be woken by.
fn alarms(registry: &Registry, parts: &Parts) -> prometheus::Result<()> {
    let standing = parts.sight.alarms();
    let help = "Alarms that stand now, by kind; the view tells them in sentences.";
    let gauge = IntGaugeVec::new(Opts::new("causeway_alarms", help), &["kind"])?;
    registry.register(Box::new(gauge.clone()))?;
    for kind in Alarm::KINDS.into_iter().chain(alarms::KINDS) {
        gauge.with_label_values(&[kind]).set(0);
    }
    let mut forked = BTreeSet::new();
    for alarm in &standing {
        gauge.with_label_values(&[&alarm.kind]).inc();
        forked.extend(alarm.origin.as_ref().filter(|_| alarm.kind == "fork"));
    }
    let (unconfirmed, oldest_ms) = parts.sight.replicator.unconfirmed().unwrap_or_default();
    let numbers = [
        (
            "causeway_forked_origins",
            "Origins of which a peer holds other events under the same numbers.",
            forked.len() as u64,
        ),
        (
            "causeway_unconfirmed_events",
            "Events written here that no peer has shown to hold.",
            unconfirmed,
        ),
        (
            "causeway_oldest_unconfirmed_seconds",
            "How long the oldest of them is held.",
            oldest_ms / 1_000,
        ),
    ];
    for (name, help, number) in numbers {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
        registry.register(Box::new(gauge))?;
    }
    Ok(())
}
