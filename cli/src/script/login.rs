//! `login` and `logout`.

use causeway_client::{Client, Http};
use serde_json::value::RawValue;

use super::Failure;
use super::caller::Caller;
use super::print::Printer;
use crate::address::Target;
use crate::arguments::Options;
use crate::logins::Logins;

/// Logs in, and stores the login.
pub(super) async fn log_in(options: &Options, mut printer: Printer) -> Result<(), Failure> {
    let logins = Logins::own().map_err(|error| error.to_string())?;
    let (_, login, session) = Caller::logged_in_by_name(options).await?;
    logins.keep(&login)?;
    if printer.is_json() {
        let session = RawValue::from_string(session);
        let session = session.map_err(|error| Failure::Error(error.to_string()))?;
        printer.line(session.get())?;
    }
    printer.flush()
}

/// Removes a login, here and at its server.
pub(super) async fn log_out(options: &Options) -> Result<(), Failure> {
    let logins = Logins::own().map_err(|error| error.to_string())?;
    let server = options.server.as_ref().map(Target::address);
    let Some(login) = logins.find(server.as_deref(), options.user.as_deref())? else {
        return Err(Failure::Error("not logged in".into()));
    };
    let http = Http::trusting(options.ca.as_deref())?;
    let client = Client::new(&http, &login.server).with_token(login.token.clone());
    // If the server does not receive this, the token expires on its own.
    let _ = client.log_out().await;
    Ok(logins.forget(&login)?)
}
