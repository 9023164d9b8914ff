//! The public API: one struct for each kind of resource, with its bodies and handlers.

mod feed;
mod groups;
mod messages;
mod moment;
mod parameters;
pub mod peers;
mod server;
mod sessions;
mod view;

use poem_openapi::{OpenApi, OpenApiService, Tags};

use crate::context::Context;

pub use messages::NewMessage;
pub use moment::moment;
pub use sessions::NewSession;

/// How the operations are grouped in the document.
#[derive(Tags)]
enum Tag {
    /// Logging in and out.
    Sessions,
    /// Groups: listing, joining, leaving, members.
    Groups,
    /// Messages: posting, reading, liking.
    Messages,
    /// Following a group as it happens.
    Streams,
    /// The answering replica and its peers.
    Server,
}

/// The documented API of a replica.
pub fn service(context: &Context) -> OpenApiService<impl OpenApi + use<>, ()> {
    let of = || context.clone();
    let api = (
        sessions::Sessions(of()),
        groups::Groups(of()),
        messages::Messages(of()),
        feed::Feed(of()),
        view::View(of()),
        server::Server(of()),
    );
    OpenApiService::new(api, "Causeway", env!("CARGO_PKG_VERSION")).description(DESCRIPTION)
}

const DESCRIPTION: &str = "A replicated group chat. Every replica has the whole history and accepts \
writes, even while it is isolated; messages written on both sides of a partition merge into one \
order, which is the same everywhere.\n\nLog in with `POST /v1/sessions` and send the token as `Authorization: \
Bearer <token>`; it is valid on every replica. Errors are `application/problem+json`; switch on \
`code`. A write answers with the header `Causeway-Mark`; give it, or a cursor, as `at_least` to any \
replica to read what you wrote.";
