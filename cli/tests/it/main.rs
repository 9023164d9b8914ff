//! The terminal client as it is used: the real program, in a pipe or a pseudo-terminal, with a fake
//! server that can be made to fail.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where its own scaffold fails"
)]

mod ahead;
mod connection;
mod draft;
mod fake;
mod gate;
mod history;
mod home;
mod lobby;
mod messages;
mod outbox;
mod pipe;
mod program;
mod pty;
mod reading;
mod screen;
mod script;
mod send;
mod servers;
mod status;
mod system;
mod table;
mod tls;
mod trial;
mod typing;
