//! Groups: listing, joining, leaving, members.

use causeway_domain::group::GroupCommand;
use causeway_domain::names::{GroupName, Name, User};
use causeway_domain::writing::{Action, Command};
use poem_openapi::param::{Path, Query};
use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use crate::bodies::{MemberBody, MessageBody, Renderer, Reply, UserBody, rfc3339};
use crate::context::{Context, group_name, read_problem, unknown_group};
use crate::limits::Call;
use crate::problem::Problem;
use crate::token::Caller;

use super::Tag;
use super::messages::page::newest;
use super::parameters::{AtLeast, Gone, Written, page_size, text};

pub struct Groups(pub Context);

/// A group in the list of groups.
#[derive(Object, Serialize)]
#[oai(rename = "GroupSummary")]
struct GroupLine {
    /// Its name.
    name: String,
    /// How many members it has.
    members: u64,
    /// How many of them are online, on any replica.
    online: u64,
    /// When its last message was received. RFC 3339, UTC.
    last_message_at: Option<String>,
    /// Whether the caller is a member.
    joined: bool,
}

/// A page of groups.
#[derive(Object, Serialize)]
struct GroupList {
    /// The groups, by name.
    groups: Vec<GroupLine>,
    /// Send it as `after` for the next page; `null` on the last one.
    next: Option<String>,
}

/// A page of members.
#[derive(Object, Serialize)]
struct MemberList {
    /// The members, by name.
    members: Vec<MemberBody>,
    /// Send it as `after` for the next page; `null` on the last one.
    next: Option<String>,
}

/// What a client shows first when it opens a group.
#[derive(Object, Serialize)]
pub struct Snapshot {
    /// The group's name.
    group: String,
    /// Members with a live stream on the group, on any replica: the first 100, by name.
    online: Vec<UserBody>,
    /// How many members are online.
    online_count: u64,
    /// The first 100 members, by name.
    members: Vec<MemberBody>,
    /// How many members there are.
    members_count: u64,
    /// The ten newest messages, in order.
    messages: Vec<MessageBody>,
    /// Where the stream continues after this snapshot.
    cursor: String,
}

#[OpenApi(tag = "Tag::Groups")]
impl Groups {
    /// Lists groups
    #[oai(path = "/v1/groups", method = "get", operation_id = "list_groups")]
    async fn list(
        &self,
        caller: Caller,
        /// How many: 1 to 500, default 50.
        limit: Query<Option<i64>>,
        /// The `next` of the previous page.
        after: Query<Option<String>>,
        /// Whether to list only groups that the caller is a member of; default `false`.
        joined: Query<Option<bool>>,
        /// A cursor or mark that this replica must hold first: waits up to 2 s for it.
        at_least: AtLeast,
    ) -> Result<Reply<GroupList>, Problem> {
        let limit = page_size(limit.0)?;
        let after = folded(after.0)?;
        self.0.await_shown(text(&at_least)).await?;
        let joined = joined.0.unwrap_or(false);
        let page = self
            .0
            .timelines
            .groups(after, limit, caller.user.id, joined);
        let page = page.await.map_err(read_problem)?;
        let next = page.groups.last().filter(|_| page.has_more);
        let next = next.map(|last| last.name.clone());
        let line = |group: causeway_store::timelines::Group| GroupLine {
            online: GroupName::stored(&group.name)
                .map_or(0, |name| count(self.0.feeds.online_count(&name))),
            name: group.name,
            members: u64::try_from(group.members_count).unwrap_or(0),
            last_message_at: group.last_message_at_ms.map(rfc3339),
            joined: group.is_joined,
        };
        Ok(Reply(GroupList {
            groups: page.groups.into_iter().map(line).collect(),
            next,
        }))
    }

    /// Shows a group
    #[oai(
        path = "/v1/groups/:group",
        method = "get",
        operation_id = "show_group"
    )]
    async fn show(
        &self,
        caller: Caller,
        /// The name of the group.
        group: Path<String>,
        /// A cursor or mark that this replica must hold first: waits up to 2 s for it.
        at_least: AtLeast,
    ) -> Result<Reply<Snapshot>, Problem> {
        let group = group_name(&group.0)?;
        self.0.await_shown(text(&at_least)).await?;
        Ok(Reply(self.snapshot(group, caller.user).await?))
    }

    /// Joins a group
    ///
    /// The first join creates the group. Joining again has no effect. Names are compared and
    /// returned after NFKC and case folding: `Général` is `général`. A replica that has not
    /// received the join yet answers posts with 403 `not_a_member`, or 404 `not_found` for a new
    /// group; send the join's `Causeway-Mark` as `at_least` to make it wait.
    #[oai(
        path = "/v1/groups/:group/members/me",
        method = "put",
        operation_id = "join_group"
    )]
    async fn join(
        &self,
        caller: Caller,
        /// The name of the group.
        group: Path<String>,
        /// A cursor or mark that this replica must hold first: waits up to 2 s for it.
        at_least: AtLeast,
    ) -> Result<Written<Snapshot>, Problem> {
        let group = group_name(&group.0)?;
        self.0.await_held(text(&at_least)).await?;
        self.count_new(&group, &caller.user).await?;
        let user = caller.user.clone();
        let mark = self.act(&group, GroupCommand::Join { user }).await?;
        Ok(Written::Done(
            Reply(self.snapshot(group, caller.user).await?),
            mark,
        ))
    }

    /// Leaves a group
    ///
    /// Ends the membership. Has no effect for those who are not members.
    #[oai(
        path = "/v1/groups/:group/members/me",
        method = "delete",
        operation_id = "leave_group"
    )]
    async fn leave(
        &self,
        caller: Caller,
        /// The name of the group.
        group: Path<String>,
        /// A cursor or mark that this replica must hold first: waits up to 2 s for it.
        at_least: AtLeast,
    ) -> Result<Gone, Problem> {
        let group = group_name(&group.0)?;
        self.0.await_held(text(&at_least)).await?;
        let user = caller.user;
        let mark = self.act(&group, GroupCommand::Leave { user }).await?;
        Ok(Gone::Done(mark))
    }

    /// Lists members
    #[oai(
        path = "/v1/groups/:group/members",
        method = "get",
        operation_id = "list_members"
    )]
    async fn members(
        &self,
        _caller: Caller,
        /// The name of the group.
        group: Path<String>,
        /// The `next` of the previous page.
        after: Query<Option<String>>,
        /// How many: 1 to 500, default 50.
        limit: Query<Option<i64>>,
        /// A cursor or mark that this replica must hold first: waits up to 2 s for it.
        at_least: AtLeast,
    ) -> Result<Reply<MemberList>, Problem> {
        let group = group_name(&group.0)?;
        let limit = page_size(limit.0)?;
        let after = folded(after.0)?;
        self.0.await_shown(text(&at_least)).await?;
        let page = self.0.timelines.members(group.clone(), after, limit).await;
        let page = page
            .map_err(read_problem)?
            .ok_or_else(|| unknown_group(&group))?;
        let next = page.members.last().filter(|_| page.has_more);
        Ok(Reply(MemberList {
            next: next.map(|last| last.name.clone()),
            members: self.with_presence(&group, &page.members),
        }))
    }
}

impl Groups {
    /// Counts the creation of a group, where that is limited.
    async fn count_new(&self, group: &GroupName, user: &User) -> Result<(), Problem> {
        let Some(limiter) = &self.0.limits.rates.new_groups else {
            return Ok(());
        };
        let is_known = self.0.timelines.knows_group(group.clone());
        if is_known.await.map_err(read_problem)? {
            return Ok(());
        }
        Call::count_here(Some(limiter), &user.id.0)
    }

    async fn act(&self, group: &GroupName, asked: GroupCommand) -> Result<String, Problem> {
        let command = Command {
            group: group.clone(),
            action: Action::Group(asked),
            above: None,
        };
        let (_, mark) = self.0.write(group, command).await?;
        self.0.await_shown(None).await?;
        Ok(mark)
    }

    async fn snapshot(&self, group: GroupName, reader: User) -> Result<Snapshot, Problem> {
        let knowledge = self.0.knowledge();
        let read = self.0.timelines.snapshot(group.clone(), reader.id).await;
        let read = read
            .map_err(read_problem)?
            .ok_or_else(|| unknown_group(&group))?;
        let (online, online_count) = self.0.feeds.online(&group);
        let renderer = Renderer {
            replicas: &self.0.replicas,
            knowledge: &knowledge,
            held: &read.checkpoint.vector,
        };
        Ok(Snapshot {
            group: group.to_string(),
            online,
            online_count: count(online_count),
            members: self.with_presence(&group, &read.members),
            members_count: u64::try_from(read.members_count).unwrap_or(0),
            messages: newest(&read.messages, &renderer),
            cursor: self.0.cursor(
                &group,
                read.checkpoint.vector.clone(),
                read.checkpoint.highest,
            ),
        })
    }

    fn with_presence(&self, group: &GroupName, members: &[User]) -> Vec<MemberBody> {
        let ids = members.iter().map(|member| &member.id);
        let online = self.0.feeds.are_online(group, ids);
        let members = members.iter().zip(online);
        let body = |(member, online): (&User, bool)| MemberBody {
            id: member.id.0.clone(),
            name: member.name.clone(),
            online,
        };
        members.map(body).collect()
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Returns the name after which a page starts, in the folded form in which names are stored.
fn folded(after: Option<String>) -> Result<String, Problem> {
    let Some(after) = after.filter(|after| !after.is_empty()) else {
        return Ok(String::new());
    };
    Name::parse(&after)
        .map(|name| name.to_string())
        .map_err(|refused| Problem::invalid("after", refused.to_string()))
}
