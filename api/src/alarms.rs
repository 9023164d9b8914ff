//! Alarms: what an operator has to know about this replica, in the view and in the metrics.

use causeway_domain::ids::{Origin, ReplicaId};
use causeway_domain::writing::Beginning;
use causeway_replicator_core::alarm::Alarm;
use causeway_replicator_core::view::Knowledge;
use causeway_store::log::Log;
use poem_openapi::Object;
use serde::Serialize;

use crate::tls::Certificates;

/// A new epoch was drawn, by this start or since.
const NEW_EPOCH: &str = "new_epoch";
/// Events are quarantined: held, but not shown.
const SET_ASIDE: &str = "set_aside";
/// Peers held events of this replica that its database does not.
const ROLLED_BACK: &str = "rolled_back";

/// A certificate expires soon, or has expired.
const CERTIFICATE_EXPIRES: &str = "certificate_expires";
/// The files of a certificate were changed to what cannot be used.
const CERTIFICATE_REJECTED: &str = "certificate_rejected";

/// Something an operator has to know.
#[derive(Debug, Object, Serialize)]
#[oai(rename = "Alarm")]
pub struct AlarmBody {
    /// What it is: `fork`, `rolled_back`, `new_epoch`, `clock`, `unconfirmed`, `refused`,
    /// `refused_by`, `set_aside`, `certificate_expires`, `certificate_rejected`. Later versions may
    /// know others.
    pub kind: String,
    /// The other replica concerned.
    pub replica: Option<u16>,
    /// The origin concerned: a replica's number and 8 hexadecimal digits of its epoch.
    pub origin: Option<String>,
    /// The same in a sentence.
    pub detail: String,
    /// How many alarms it stands for: beyond a hundred of one kind they are only counted.
    #[oai(skip)]
    #[serde(skip)]
    pub count: u64,
}

impl From<&Alarm> for AlarmBody {
    fn from(alarm: &Alarm) -> Self {
        Self {
            kind: alarm.kind().to_owned(),
            replica: alarm.replica().map(ReplicaId::get),
            origin: alarm.origin().map(|origin| origin.to_string()),
            detail: alarm.to_string(),
            count: alarm.count(),
        }
    }
}

/// The kinds of alarms that are raised here, beside [`Alarm::KINDS`].
pub const KINDS: [&str; 4] = [
    NEW_EPOCH,
    SET_ASIDE,
    CERTIFICATE_EXPIRES,
    CERTIFICATE_REJECTED,
];

/// Returns the active alarms. `began_as` is the origin of this process at its start, `quarantined`
/// the number of events that the read model could not fold in.
pub fn active(
    log: &Log,
    began_as: Origin,
    quarantined: u64,
    knowledge: &Knowledge,
) -> Vec<AlarmBody> {
    let of_peers = knowledge.alarms.iter().map(AlarmBody::from);
    let own = new_epoch(log, began_as)
        .into_iter()
        .chain(rolled_back(log.origin(), began_as))
        .chain(quarantine(quarantined));
    own.chain(of_peers).collect()
}

/// Returns the active alarms about certificates.
pub fn of_certificates(certificates: &Certificates, now_ms: i64) -> Vec<AlarmBody> {
    let raised = |kind: &str, detail| AlarmBody {
        kind: kind.to_owned(),
        replica: None,
        origin: None,
        detail,
        count: 1,
    };
    let mut active = Vec::new();
    for (port, certificate) in certificates.by_port() {
        if let Some(detail) = certificate.identity().expiry(port, now_ms) {
            active.push(raised(CERTIFICATE_EXPIRES, detail));
        }
        if let Some(why) = certificate.rejected() {
            let detail = format!("a changed certificate is not used, the former one stays: {why}");
            active.push(raised(CERTIFICATE_REJECTED, detail));
        }
    }
    active
}

/// Active until a version that can read the events has folded the log again.
fn quarantine(count: u64) -> Option<AlarmBody> {
    (count > 0).then(|| AlarmBody {
        kind: SET_ASIDE.to_owned(),
        replica: None,
        origin: None,
        detail: format!(
            "{count} event{} cannot be read by this version, or by its database: kept and passed on, \
             but not shown here; the log says which and why",
            if count == 1 { "" } else { "s" }
        ),
        count: 1,
    })
}

/// Active until the next start: the replicator's own alarm of this kind ends when the new epoch is
/// drawn.
fn rolled_back(origin: Origin, began_as: Origin) -> Option<AlarmBody> {
    (origin != began_as).then(|| AlarmBody {
        kind: ROLLED_BACK.to_owned(),
        replica: None,
        origin: Some(began_as.to_string()),
        detail: format!(
            "peers held events of {began_as} that this database did not: it was rolled back or copied"
        ),
        count: 1,
    })
}

/// Active until the next start, which continues the new epoch.
fn new_epoch(log: &Log, began_as: Origin) -> Option<AlarmBody> {
    let origin = log.origin();
    let why = match log.beginning() {
        _ if origin != began_as => "peers held other events of the former one".to_owned(),
        Beginning::Renewed(doubt) => doubt.to_string(),
        Beginning::Continued | Beginning::First => return None,
    };
    Some(AlarmBody {
        kind: NEW_EPOCH.to_owned(),
        replica: None,
        origin: Some(origin.to_string()),
        detail: format!("this replica continues as {origin}, a new epoch: {why}"),
        count: 1,
    })
}
