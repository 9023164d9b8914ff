//! The public API of Causeway as Rust types and calls, written from `openapi.yaml` alone.
//!
//! Knows HTTP and decides nothing: whether a call is repeated, where, and what a failure means is
//! up to the caller. Used by the terminal client and by everything that tries real servers.

mod answer;
mod bodies;
mod client;
mod frames;
mod http;
mod lists;
mod sse;
mod stream;

pub use answer::{CallError, Written};
pub use bodies::{
    Alarm, Message, NewMessage, OwnView, Page, PeerView, Server, Session, Snapshot, User, View,
};
pub use client::{Client, Window};
pub use frames::{Frame, Liked, Merged, Presence, Stored};
pub use http::{Http, Limits};
pub use lists::{Change, Changes, Group, Groups, Member, Members};
pub use sse::{Parser, RawFrame, TooLong};
pub use stream::Stream;
