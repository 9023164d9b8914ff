//! The view of the cluster: which replicas this one reaches, and how far they are.

use poem_openapi::OpenApi;

use super::Tag;
use super::parameters::{AtLeast, text};
use crate::bodies::Reply;
use crate::context::Context;
use crate::problem::Problem;
use crate::token::Caller;
use crate::view::ViewBody;

pub struct View(pub Context);

#[OpenApi(tag = "Tag::Server")]
impl View {
    /// Shows which replicas this one reaches
    #[oai(path = "/v1/view", method = "get", operation_id = "show_view")]
    async fn view(
        &self,
        _caller: Caller,
        /// A cursor or mark that this replica must hold first: waits up to 2 s for it.
        at_least: AtLeast,
    ) -> Result<Reply<ViewBody>, Problem> {
        self.0.await_held(text(&at_least)).await?;
        Ok(Reply(self.0.view.body()))
    }
}
