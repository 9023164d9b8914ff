//! Logging in and out.

use causeway_domain::names::{Name, User, UserId};
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::{Deserialize, Serialize};

use super::Tag;
use super::parameters::{AtLeast, text};
use crate::bodies::{Reply, UserBody, rfc3339};
use crate::context::Context;
use crate::edge::body::Body;
use crate::limits::Call;
use crate::problem::Problem;
use crate::token::Caller;

pub struct Sessions(pub Context);

/// A login.
#[derive(Debug, Deserialize, Object)]
#[oai(rename = "Login")]
#[serde(deny_unknown_fields)]
pub struct NewSession {
    /// The user's name: 1 to 32 letters and digits of one script, `-`, `_`, `.`, beginning with a
    /// letter or digit; at most two combining marks in a row. Compared after `NFKC_Casefold`:
    /// case and invisible characters do not matter. The server counts after it too, so a name
    /// that is typed in decomposed form may be longer: compose it (NFC) to keep the bound here.
    name: String,
    /// At most 256 characters. Required where the server has accounts, ignored where a name is
    /// enough.
    password: Option<String>,
}

/// A session.
#[derive(Object, Serialize)]
struct Session {
    /// Send it as `Authorization: Bearer <token>`, to any replica.
    token: String,
    /// Who is logged in.
    user: UserBody,
    /// When the token expires. RFC 3339, UTC.
    expires_at: String,
    /// The number of the replica that answered.
    replica: u16,
}

#[derive(ApiResponse)]
enum LoggedIn {
    /// Logged in.
    #[oai(status = 201)]
    Created(Reply<Session>),
}

#[derive(ApiResponse)]
enum LoggedOut {
    /// Logged out.
    #[oai(status = 204)]
    Done,
}

#[OpenApi(tag = "Tag::Sessions")]
impl Sessions {
    /// Logs in
    ///
    /// A name is enough. The same name is the same user on every replica.
    #[oai(path = "/v1/sessions", method = "post", operation_id = "log_in")]
    async fn log_in(
        &self,
        /// A cursor or mark that this replica must hold first: waits up to 2 s for it.
        at_least: AtLeast,
        body: Body<NewSession>,
    ) -> Result<LoggedIn, Problem> {
        let name = Name::parse(&body.0.name)
            .map_err(|refused| Problem::invalid("name", refused.to_string()))?;
        check_password(body.0.password.as_deref())?;
        Call::count_name(self.0.limits.rates.logins.as_ref(), name.as_str())?;
        self.0.await_held(text(&at_least)).await?;
        let user = User {
            id: UserId::of_open_name(&name),
            name: name.to_string(),
        };
        let caller = Caller {
            user,
            session: (self.0.random)(),
        };
        let (token, expires_ms) = self.0.tokens.issue(&caller, (self.0.wall)());
        Ok(LoggedIn::Created(Reply(Session {
            token,
            user: UserBody::from(&caller.user),
            expires_at: rfc3339(i64::try_from(expires_ms).unwrap_or(i64::MAX)),
            replica: self.0.replica.get(),
        })))
    }

    /// Logs out
    ///
    /// Discard the token: it is not revoked yet and stays valid until it expires.
    #[oai(
        path = "/v1/sessions/current",
        method = "delete",
        operation_id = "log_out"
    )]
    async fn log_out(
        &self,
        _caller: Caller,
        /// A cursor or mark that this replica must hold first: waits up to 2 s for it.
        at_least: AtLeast,
    ) -> Result<LoggedOut, Problem> {
        self.0.await_held(text(&at_least)).await?;
        Ok(LoggedOut::Done)
    }
}

/// The longest password, in characters.
const MAX_PASSWORD_CHARS: usize = 256;

fn check_password(password: Option<&str>) -> Result<(), Problem> {
    match password {
        Some(password) if password.chars().nth(MAX_PASSWORD_CHARS).is_some() => {
            let why = format!("may have at most {MAX_PASSWORD_CHARS} characters");
            Err(Problem::invalid("password", why))
        }
        _ => Ok(()),
    }
}
