//! What one user or address may take of this replica, so that its load costs others little: calls at
//! once, reads at once, calls per second.

mod address;
mod answers;
mod call;
mod rates;
mod standing;

use std::sync::Arc;

use causeway_domain::fairness::Bounds;
use causeway_domain::names::UserId;
use poem::Request;

use crate::config::{Config, DEFAULT_CALLS_OF_ONE, Rates};
use crate::problem::Problem;
use crate::token::Caller;

pub use address::{ClientAddress, TrustedProxies};
pub use answers::{LargeReply, PAGE_BYTES, hold, json_bytes};
pub use call::Call;
pub use causeway_store::turnstile::{Turn, Turnstile};
pub use rates::{Limiter, Limiters};
pub use standing::Standing;

/// How much more a user may run while no other user is active.
const ALONE: usize = 8;
/// How many calls may wait for each running one of a user who is alone.
const WAITING: usize = 4;

/// Whose call it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// An authenticated user.
    User(UserId),
    /// The address of a call without a token.
    Address(ClientAddress),
}

/// The limits of the calls of the public port.
pub struct Callers {
    calls: Turnstile<Source>,
    limiters: Arc<Limiters>,
    proxies: TrustedProxies,
}

impl Default for Callers {
    fn default() -> Self {
        Self {
            calls: calls(DEFAULT_CALLS_OF_ONE),
            limiters: Arc::default(),
            proxies: TrustedProxies::default(),
        }
    }
}

impl Callers {
    /// The limits that the settings ask for.
    pub fn new(config: &Config, limiters: Arc<Limiters>) -> Self {
        Self {
            calls: calls(config.limits.max_calls_of_one),
            limiters,
            proxies: TrustedProxies::new(config.trusted_proxies.clone()),
        }
    }

    /// Returns the call that a request makes.
    pub fn call(&self, request: &Request) -> Arc<Call> {
        Call::of(self.proxies.client_of(request))
    }

    /// Counts a call, authenticated or not, at the limit of its kind.
    pub fn count(&self, call: &Call, request: &Request) -> Result<(), Problem> {
        let limiters = &self.limiters;
        match request.extensions().get::<Caller>() {
            Some(Caller { user, .. }) if request.method().is_safe() => {
                call.count(limiters.reads.as_ref(), &user.id.0)
            }
            Some(Caller { user, .. }) => call.count(limiters.writes.as_ref(), &user.id.0),
            None if PROBES.contains(&request.uri().path()) => Ok(()),
            None => call.count(limiters.requests.as_ref(), &call.address().network()),
        }
    }

    /// Waits for the turn of an admitted call; probes need none.
    pub async fn turn(
        &self,
        call: &Call,
        request: &Request,
    ) -> Result<Option<Turn<Source>>, Problem> {
        let source = match request.extensions().get::<Caller>() {
            Some(caller) => Source::User(caller.user.id.clone()),
            None if PROBES.contains(&request.uri().path()) => return Ok(None),
            None => Source::Address(call.address().network()),
        };
        let turn = self.calls.enter(&source).await;
        turn.map(Some).ok_or(Problem::Busy)
    }
}

/// Pages that supervisors ask for, which must not take a replica for ill because of others.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// Returns the turnstile of the calls of a port, at which `most` calls of a source run at once.
fn calls(most: usize) -> Turnstile<Source> {
    Turnstile::new(Bounds {
        running: usize::MAX,
        alone: most,
        contended: (most / ALONE).max(1),
        waiting: most.saturating_mul(WAITING),
    })
}

/// The limits that handlers ask.
pub struct UserLimits {
    /// The rates.
    pub rates: Arc<Limiters>,
    /// The answers of many bytes that clients have not taken yet.
    pub answers: Turnstile<UserId>,
}

impl UserLimits {
    /// The limits with these rates.
    pub fn new(rates: &Rates) -> Self {
        Self {
            rates: Arc::new(Limiters::new(rates)),
            answers: answers(),
        }
    }
}

/// Returns the turnstile of answers of many bytes, whose turns last until the client has taken them:
/// it bounds the memory that a client which takes nothing costs.
fn answers() -> Turnstile<UserId> {
    Turnstile::new(Bounds {
        running: usize::MAX,
        alone: 16,
        contended: 4,
        waiting: 256,
    })
}
