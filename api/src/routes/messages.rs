//! Messages: posting, reading, liking.

pub(super) mod page;

use std::time::Duration;

use causeway_domain::names::{GroupName, MessageId, User, UserId};
use causeway_domain::post::PostCommand;
use causeway_domain::text::{IdempotencyKey, MessageText};
use causeway_domain::timeline::Checkpoint;
use causeway_domain::writing::{Action, Command};
use causeway_store::timelines::{Anchor, MessageView};
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::Deserialize;
use tokio::time::timeout;

use crate::bodies::{MessageBody, Renderer, Reply};
use crate::context::{Context, group_name, read_problem, unknown_group, unknown_message};
use crate::edge::body::Body;
use crate::edge::seen::SeenCursors;
use crate::limits::{Call, LargeReply};
use crate::problem::Problem;
use crate::token::Caller;

use super::Tag;
use super::moment::moment;
use super::parameters::{AtLeast, Written, anchor, bounded, message_id, page_size, text};
use page::MessagePage;

pub struct Messages(pub Context);

/// A message to post.
#[derive(Debug, Deserialize, Object)]
#[oai(rename = "MessageDraft")]
#[serde(deny_unknown_fields)]
pub struct NewMessage {
    /// What to say: after trimming 1 to 4,000 characters (a setting), no control characters but
    /// line feed and tab.
    text: String,
    /// When it was written, by the client's clock. RFC 3339.
    sent_at: Option<String>,
    /// One or two cursors or marks of what the author had read and written: the message sorts
    /// after all of it, also on another replica.
    seen: Option<SeenCursors>,
}

#[derive(ApiResponse)]
enum Posted {
    /// Posted, durably, on this replica.
    #[oai(status = 201)]
    Created(
        Reply<MessageBody>,
        /// The mark of this write: send it as `at_least` or `seen` of later calls, to any replica.
        #[oai(header = "Causeway-Mark")]
        String,
    ),
    /// Posted before under the same `Idempotency-Key`.
    #[oai(status = 200)]
    Known(
        Reply<MessageBody>,
        /// The mark of this write: send it as `at_least` or `seen` of later calls, to any replica.
        #[oai(header = "Causeway-Mark")]
        String,
    ),
}

#[OpenApi(tag = "Tag::Messages")]
impl Messages {
    /// Posts a message
    ///
    /// With an `Idempotency-Key` it may be sent again, to any replica: it ends as one message.
    #[oai(
        path = "/v1/groups/:group/messages",
        method = "post",
        operation_id = "post_message"
    )]
    #[expect(
        clippy::too_many_arguments,
        reason = "they are the parameters of the address"
    )]
    async fn post(
        &self,
        caller: Caller,
        /// The name of the group.
        group: Path<String>,
        /// The sender's own name for this message: 1 to 128 printable ASCII characters.
        #[oai(name = "Idempotency-Key")]
        idempotency_key: Header<Option<String>>,
        /// Wait until so many replicas store it, this one counted.
        wait_for: Query<Option<i64>>,
        /// How long to wait for them: 0 to 30,000 ms, default 2,000. `stored_on` says who does.
        timeout_ms: Query<Option<i64>>,
        /// A cursor or mark that this replica must hold first: waits up to 2 s for it.
        at_least: AtLeast,
        body: Body<NewMessage>,
    ) -> Result<Posted, Problem> {
        let group = group_name(&group.0)?;
        let wait = self.wait(wait_for.0, timeout_ms.0)?;
        let reader = caller.user.id.clone();
        let (id, asked) = self.new_post(&group, caller.user, idempotency_key.0, &body.0)?;
        let above = match &body.0.seen {
            Some(seen) => self.0.highest_seen(seen.texts())?,
            None => None,
        };
        self.0.await_held(text(&at_least)).await?;
        let command = Command {
            group: group.clone(),
            action: Action::Post(id.clone(), asked),
            above,
        };
        let (done, mark) = self.0.write(&group, command).await?;
        let Some(event) = &done.event else {
            self.0.await_shown(None).await?;
            let known = self.read(&group, &id.0, &reader).await?;
            let dot = known.message.position.dot();
            self.wait_until_stored(wait, dot).await;
            return Ok(Posted::Known(Reply(self.render(&known)), mark));
        };
        let posted = posted(&group, event);
        self.wait_until_stored(wait, event.envelope.stamp.dot())
            .await;
        Ok(Posted::Created(Reply(self.render(&posted)), mark))
    }

    /// Reads a page of history
    ///
    /// Without a place the newest page. A place is a message's id or a `position`. A page has at most
    /// 1 MiB: with long messages it has fewer than `limit`, as `has_before` and `has_after` say.
    #[oai(
        path = "/v1/groups/:group/messages",
        method = "get",
        operation_id = "list_messages"
    )]
    #[expect(
        clippy::too_many_arguments,
        reason = "they are the parameters of the address"
    )]
    async fn list(
        &self,
        caller: Caller,
        /// The name of the group.
        group: Path<String>,
        /// The page that ends just before this place.
        before: Query<Option<String>>,
        /// The page that begins just after it.
        after: Query<Option<String>>,
        /// The page around it, with the message there.
        around: Query<Option<String>>,
        /// How many: 1 to 500, default 50.
        limit: Query<Option<i64>>,
        /// A cursor or mark that this replica must hold first: waits up to 2 s for it.
        at_least: AtLeast,
    ) -> Result<LargeReply<MessagePage>, Problem> {
        let group = group_name(&group.0)?;
        let limit = page_size(limit.0)?;
        let anchor = anchor(before.0, after.0, around.0)?;
        let is_placed = anchor != Anchor::Newest;
        // Before the page is read, which then shows everything that this knows of.
        let knowledge = self.0.knowledge();
        self.0.await_shown(text(&at_least)).await?;
        let turn = self.0.limits.answers.enter(&caller.user.id).await;
        let turn = turn.ok_or(Problem::Busy)?;
        let timelines = &self.0.timelines;
        let page = timelines.page(group.clone(), anchor, limit, caller.user.id);
        let Some(page) = page.await.map_err(read_problem)? else {
            return Err(self.not_found(&group, is_placed).await?);
        };
        let renderer = Renderer {
            replicas: &self.0.replicas,
            knowledge: &knowledge,
            held: &page.checkpoint.vector,
        };
        let Checkpoint {
            vector, highest, ..
        } = &page.checkpoint;
        let cursor = self.0.cursor(&group, vector.clone(), *highest);
        let (page, bytes) = MessagePage::of(&page, &renderer, cursor);
        LargeReply::render(page, bytes, Some(turn)).await
    }

    /// Reads one message
    #[oai(
        path = "/v1/groups/:group/messages/:id",
        method = "get",
        operation_id = "show_message"
    )]
    async fn show(
        &self,
        caller: Caller,
        /// The name of the group.
        group: Path<String>,
        /// The id of the message.
        id: Path<String>,
        /// A cursor or mark that this replica must hold first: waits up to 2 s for it.
        at_least: AtLeast,
    ) -> Result<Reply<MessageBody>, Problem> {
        let group = group_name(&group.0)?;
        self.0.await_shown(text(&at_least)).await?;
        let seen = self.read(&group, &id.0, &caller.user.id).await?;
        Ok(Reply(self.render(&seen)))
    }

    /// Likes a message
    ///
    /// Once per user; not one's own.
    #[oai(
        path = "/v1/groups/:group/messages/:id/likes/me",
        method = "put",
        operation_id = "like_message"
    )]
    async fn like(
        &self,
        caller: Caller,
        /// The name of the group.
        group: Path<String>,
        /// The id of the message.
        id: Path<String>,
        /// A cursor or mark that this replica must hold first: waits up to 2 s for it.
        at_least: AtLeast,
    ) -> Result<Written<MessageBody>, Problem> {
        let user = caller.user.clone();
        self.act(caller, group.0, id.0, at_least, PostCommand::Like { user })
            .await
    }

    /// Withdraws a like
    #[oai(
        path = "/v1/groups/:group/messages/:id/likes/me",
        method = "delete",
        operation_id = "unlike_message"
    )]
    async fn unlike(
        &self,
        caller: Caller,
        /// The name of the group.
        group: Path<String>,
        /// The id of the message.
        id: Path<String>,
        /// A cursor or mark that this replica must hold first: waits up to 2 s for it.
        at_least: AtLeast,
    ) -> Result<Written<MessageBody>, Problem> {
        let user = caller.user.clone();
        self.act(
            caller,
            group.0,
            id.0,
            at_least,
            PostCommand::Unlike { user },
        )
        .await
    }
}

impl Messages {
    /// Returns how many replicas to wait for, and how long.
    fn wait(
        &self,
        wait_for: Option<i64>,
        timeout_ms: Option<i64>,
    ) -> Result<Option<(usize, Duration)>, Problem> {
        let timeout_ms = bounded("timeout_ms", timeout_ms, 2_000, 0..=30_000)?;
        let Some(wait_for) = wait_for else {
            return Ok(None);
        };
        let replicas = i64::try_from(self.0.replicas.len()).unwrap_or(i64::MAX);
        let wait_for = bounded("wait_for", Some(wait_for), 1, 1..=replicas)?;
        let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
        Ok(Some((usize::try_from(wait_for).unwrap_or(1), timeout)))
    }

    fn new_post(
        &self,
        group: &GroupName,
        author: User,
        key: Option<String>,
        body: &NewMessage,
    ) -> Result<(MessageId, PostCommand), Problem> {
        let text = MessageText::parse(&body.text, self.0.limits().max_text_chars)
            .map_err(|refused| Problem::invalid("text", refused.to_string()))?;
        let key = key
            .map(|key| IdempotencyKey::parse(&key))
            .transpose()
            .map_err(|refused| Problem::invalid("Idempotency-Key", refused.to_string()))?;
        let id = match &key {
            Some(key) => MessageId::of_key(&author.id, group, key.as_str(), text.as_str()),
            None => MessageId::of_random((self.0.random)()),
        };
        let post = PostCommand::Post {
            author,
            text,
            sent_at_ms: body.sent_at.as_deref().map(moment).transpose()?,
            key,
        };
        Ok((id, post))
    }

    async fn act(
        &self,
        caller: Caller,
        group: String,
        id: String,
        at_least: AtLeast,
        asked: PostCommand,
    ) -> Result<Written<MessageBody>, Problem> {
        let action = Action::Post(message_id(&id)?, asked);
        let group = group_name(&group)?;
        self.0.await_held(text(&at_least)).await?;
        let command = Command {
            group: group.clone(),
            action,
            above: None,
        };
        let (_, mark) = self.0.write(&group, command).await?;
        self.0.await_shown(None).await?;
        let seen = self.read(&group, &id, &caller.user.id).await?;
        Ok(Written::Done(Reply(self.render(&seen)), mark))
    }

    async fn read(
        &self,
        group: &GroupName,
        id: &str,
        reader: &UserId,
    ) -> Result<MessageView, Problem> {
        let timelines = &self.0.timelines;
        let found = timelines.message(group.clone(), id.to_owned(), reader.clone());
        if let Some(seen) = found.await.map_err(read_problem)? {
            return Ok(seen);
        }
        Err(self.not_found(group, true).await?)
    }

    /// Returns why nothing was found: the group is unknown, or the message that was asked for.
    async fn not_found(&self, group: &GroupName, of_message: bool) -> Result<Problem, Problem> {
        let is_known = self.0.timelines.knows_group(group.clone());
        let is_known = is_known.await.map_err(read_problem)?;
        Ok(if of_message && is_known {
            unknown_message()
        } else {
            unknown_group(group)
        })
    }

    fn render(&self, seen: &MessageView) -> MessageBody {
        let knowledge = self.0.knowledge();
        let head = self.0.log.head();
        let renderer = Renderer {
            replicas: &self.0.replicas,
            knowledge: &knowledge,
            held: &head.vector,
        };
        renderer.message(seen)
    }

    async fn wait_until_stored(
        &self,
        wait: Option<(usize, Duration)>,
        dot: causeway_domain::ids::Dot,
    ) {
        let Some((wait_for, wait)) = wait else {
            return;
        };
        Call::end_turn();
        let log = self.0.log.clone();
        let mut knowledge = self.0.knowledge.clone();
        let is_stored = knowledge
            .wait_for(|knowledge| knowledge.stored_on(dot, &log.head().vector).len() >= wait_for);
        // After a time-out the response says which replicas store it.
        let _ = timeout(wait, is_stored).await;
    }
}

/// Returns a message that was just posted; nobody can have liked it yet.
fn posted(group: &GroupName, event: &causeway_domain::envelope::RawEvent) -> MessageView {
    let fact = causeway_domain::timeline::Fact::read(0, event);
    let message = fact
        .ok()
        .flatten()
        .and_then(causeway_domain::timeline::Fact::into_message)
        .expect("an event that this replica has just made is a message");
    debug_assert_eq!(&message.group, group);
    MessageView {
        message,
        liked_by: Vec::new(),
        is_liked: false,
    }
}
