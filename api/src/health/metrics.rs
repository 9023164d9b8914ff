//! The numbers of a replica, in the text format of Prometheus.

use std::collections::BTreeSet;

use causeway_replicator::refused::Reason;
use causeway_replicator_core::alarm::Alarm;
use causeway_replicator_core::liveness::{Outward, Status};
use prometheus::{
    Encoder, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, Result, TextEncoder,
};

use crate::alarms;
use crate::context::Parts;

use super::cannot_write;

/// Returns all metrics of a replica.
pub fn metrics(parts: &Parts) -> String {
    gather(parts).unwrap_or_else(|failure| {
        tracing::error!(%failure, "the metrics could not be gathered");
        String::new()
    })
}

fn gather(parts: &Parts) -> Result<String> {
    let metrics = Metrics(Registry::new());
    log_and_streams(&metrics, parts)?;
    writing(&metrics, parts)?;
    peers(&metrics, parts)?;
    traffic(&metrics, parts)?;
    certificates(&metrics, parts)?;
    alarms(&metrics, parts)?;
    let mut text = Vec::new();
    TextEncoder::new().encode(&metrics.0.gather(), &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

struct Metrics(Registry);

impl Metrics {
    fn gauge(&self, name: &str, help: &str, value: i64) -> Result<()> {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(value);
        self.0.register(Box::new(gauge))
    }

    fn gauge_by(&self, label: &str, name: &str, help: &str) -> Result<IntGaugeVec> {
        let gauge = IntGaugeVec::new(Opts::new(name, help), &[label])?;
        self.0.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    fn counter_by(&self, label: &str, name: &str, help: &str) -> Result<IntCounterVec> {
        let counter = IntCounterVec::new(Opts::new(name, help), &[label])?;
        self.0.register(Box::new(counter.clone()))?;
        Ok(counter)
    }
}

fn log_and_streams(metrics: &Metrics, parts: &Parts) -> Result<()> {
    // In this order: the read model may advance in between.
    let checkpoint = parts.timelines.checkpoint();
    let head = parts.log.head();
    metrics.gauge("causeway_events", "Events held.", head.offset)?;
    metrics.gauge(
        "causeway_timeline_lag_events",
        "Events held that the read model has not folded in yet.",
        head.offset - checkpoint.offset,
    )?;
    metrics.gauge(
        "causeway_events_set_aside",
        "Events that the read model could not fold in: kept and passed on, but not shown.",
        saturated(parts.timelines.following().set_aside),
    )?;
    let streams = parts.feeds.open_streams();
    metrics.gauge(
        "causeway_streams",
        "Streams open.",
        saturated(streams as u64),
    )
}

fn writing(metrics: &Metrics, parts: &Parts) -> Result<()> {
    if let Some(room) = parts.disk.room() {
        metrics.gauge(
            "causeway_disk_free_bytes",
            "Free bytes on the disk of the data folder.",
            saturated(room.free_bytes),
        )?;
    }
    metrics.gauge(
        "causeway_writes_stopped",
        "Whether writes are refused: the disk of the data folder is nearly full or cannot be \
         written, or the database takes no writes.",
        i64::from(!parts.disk.has_room() || cannot_write(parts).is_some()),
    )?;
    let settings = metrics.gauge_by(
        "setting",
        "causeway_unsafe_postgres",
        "Settings of Postgres with which acknowledged writes can be lost.",
    )?;
    for found in parts.log.unsafe_settings() {
        settings.with_label_values(&[&found.setting]).set(1);
    }
    Ok(())
}

fn peers(metrics: &Metrics, parts: &Parts) -> Result<()> {
    let by_peer = |name: &str, help: &str| metrics.gauge_by("peer", name, help);
    let up = by_peer("causeway_peer_up", "Whether a peer was heard of recently.")?;
    let out = by_peer("causeway_peer_out_ok", "Whether calling a peer works.")?;
    let missing_here = by_peer(
        "causeway_peer_missing_here",
        "Events that only the peer holds.",
    )?;
    let missing_there = by_peer("causeway_peer_missing_there", "Events that the peer lacks.")?;
    let clock = by_peer(
        "causeway_peer_clock_offset_ms",
        "How far the clock of a peer is ahead of this one's.",
    )?;
    for view in parts.view.replicator.view() {
        let peer = [&*view.replica.to_string()];
        let is_up = view.status == Status::Up;
        up.with_label_values(&peer).set(i64::from(is_up));
        let is_ok = view.out == Outward::Ok;
        out.with_label_values(&peer).set(i64::from(is_ok));
        if let Some(offset_ms) = view.clock_ms {
            clock.with_label_values(&peer).set(offset_ms);
        }
        if let (Some(here), Some(there)) = (view.missing_here, view.missing_there) {
            missing_here.with_label_values(&peer).set(saturated(here));
            missing_there.with_label_values(&peer).set(saturated(there));
        }
    }
    Ok(())
}

fn traffic(metrics: &Metrics, parts: &Parts) -> Result<()> {
    let by_peer = |name: &str, help: &str| metrics.counter_by("peer", name, help);
    let sent = by_peer(
        "causeway_peer_events_sent_total",
        "Events sent to a peer, pushed or pulled.",
    )?;
    let received = by_peer(
        "causeway_peer_events_received_total",
        "Events received from a peer, pushed or pulled, including those held already.",
    )?;
    let left_out = by_peer(
        "causeway_peer_events_left_out_total",
        "How often an event of a peer could not be stored; later events of its origin wait.",
    )?;
    for counted in parts.view.replicator.traffic().counted() {
        let peer = [&*counted.peer.to_string()];
        sent.with_label_values(&peer).inc_by(counted.sent);
        received.with_label_values(&peer).inc_by(counted.received);
        left_out.with_label_values(&peer).inc_by(counted.left_out);
    }
    let refused = metrics.counter_by(
        "reason",
        "causeway_peer_calls_refused_total",
        "Calls on the port for peers that were refused before their bodies were read.",
    )?;
    for reason in Reason::ALL {
        let count = parts.view.replicator.refused().count(reason);
        refused.with_label_values(&[reason.name()]).inc_by(count);
    }
    Ok(())
}

fn certificates(metrics: &Metrics, parts: &Parts) -> Result<()> {
    let expiry = metrics.gauge_by(
        "port",
        "causeway_certificate_not_after_seconds",
        "When the certificate of a port expires, Unix time.",
    )?;
    for (port, certificate) in parts.view.certificates.by_port() {
        let not_after_ms = certificate.identity().not_after_ms;
        expiry.with_label_values(&[port]).set(not_after_ms / 1_000);
    }
    Ok(())
}

fn alarms(metrics: &Metrics, parts: &Parts) -> Result<()> {
    let gauge = metrics.gauge_by(
        "kind",
        "causeway_alarms",
        "Active alarms by kind; the view describes them.",
    )?;
    for kind in Alarm::KINDS.into_iter().chain(alarms::KINDS) {
        gauge.with_label_values(&[kind]).set(0);
    }
    let active = parts.view.alarms();
    let mut forked = BTreeSet::new();
    for alarm in &active {
        gauge
            .with_label_values(&[&alarm.kind])
            .add(saturated(alarm.count));
        forked.extend(alarm.origin.as_ref().filter(|_| alarm.kind == "fork"));
    }
    metrics.gauge(
        "causeway_forked_origins",
        "Origins of which a peer holds other events under the same numbers.",
        saturated(forked.len() as u64),
    )?;
    let (unconfirmed, oldest_ms) = parts.view.replicator.unconfirmed().unwrap_or_default();
    metrics.gauge(
        "causeway_unconfirmed_events",
        "Events written here that no peer has confirmed to hold.",
        saturated(unconfirmed),
    )?;
    metrics.gauge(
        "causeway_oldest_unconfirmed_seconds",
        "Age of the oldest unconfirmed event.",
        saturated(oldest_ms / 1_000),
    )
}

fn saturated(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
