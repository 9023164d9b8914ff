//! Members of groups, and the list of groups.

use std::collections::BTreeSet;

use causeway_domain::names::{GroupName, User, UserId};
use sqlx::PgConnection;

use crate::log::ReadError;

use super::Timelines;
use super::history::{truncate, user};
use super::pages::uncancelled;

/// A page of members, by name.
#[derive(Clone, Debug)]
pub struct Members {
    /// The members.
    pub members: Vec<User>,
    /// Whether more follow.
    pub has_more: bool,
}

/// A group in the list of groups.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// How many members it has.
    pub members_count: i64,
    /// When its last message, in order, was received: milliseconds since 1970.
    pub last_message_at_ms: Option<i64>,
    /// Whether the reader is a member.
    pub is_joined: bool,
}

/// A page of groups, by name.
#[derive(Clone, Debug)]
pub struct Groups {
    /// The groups.
    pub groups: Vec<Group>,
    /// Whether more follow.
    pub has_more: bool,
}

impl Timelines {
    /// Reads members by name, after a name; `None` if the group is unknown.
    pub async fn members(
        &self,
        group: GroupName,
        after: String,
        limit: i64,
    ) -> Result<Option<Members>, ReadError> {
        uncancelled(self.pool.clone(), move |connection| {
            Box::pin(async move {
                if !exists(connection, &group).await? {
                    return Ok(None);
                }
                let mut members = members_after(connection, &group, &after, limit + 1).await?;
                let has_more = truncate(&mut members, limit);
                Ok(Some(Members { members, has_more }))
            })
        })
        .await
    }

    /// Returns which of some users are members of a group.
    pub async fn members_among(
        &self,
        group: GroupName,
        users: Vec<UserId>,
    ) -> Result<BTreeSet<UserId>, ReadError> {
        uncancelled(self.pool.clone(), move |connection| {
            Box::pin(async move {
                let users: Vec<&str> = users.iter().map(|user| user.0.as_str()).collect();
                let found: Vec<String> = sqlx::query_scalar(
                    "SELECT user_id FROM members
                 WHERE group_name = $1 AND user_id = ANY($2) AND is_member ORDER BY user_id",
                )
                .bind(group.as_str())
                .bind(users)
                .fetch_all(connection)
                .await?;
                Ok(found.into_iter().map(UserId).collect())
            })
        })
        .await
    }

    /// Whether a group of this name exists: a user has joined it at some time.
    pub async fn knows_group(&self, group: GroupName) -> Result<bool, ReadError> {
        uncancelled(self.pool.clone(), move |connection| {
            Box::pin(async move { exists(connection, &group).await })
        })
        .await
    }

    /// Reads groups by name, after a name: all, or those that the reader is a member of.
    pub async fn groups(
        &self,
        after: String,
        limit: i64,
        reader: UserId,
        only_joined: bool,
    ) -> Result<Groups, ReadError> {
        uncancelled(self.pool.clone(), move |connection| {
            Box::pin(async move {
                let rows: Vec<(String, i64, Option<i64>, bool)> = sqlx::query_as(
                    "SELECT g.name, g.members_count,
                     (SELECT m.received_at FROM messages m WHERE m.group_name = g.name
                      ORDER BY m.position DESC LIMIT 1),
                     EXISTS (SELECT FROM members r WHERE r.group_name = g.name
                             AND r.user_id = $3 AND r.is_member)
                 FROM groups g WHERE g.name > $1
                     AND (NOT $4 OR g.name IN (SELECT r.group_name FROM members r
                          WHERE r.user_id = $3 AND r.is_member AND r.group_name > $1
                          ORDER BY r.group_name LIMIT $2))
                 ORDER BY g.name LIMIT $2",
                )
                .bind(after)
                .bind(limit + 1)
                .bind(reader.0)
                .bind(only_joined)
                .fetch_all(connection)
                .await?;
                let mut groups: Vec<Group> = rows
                    .into_iter()
                    .map(
                        |(name, members_count, last_message_at_ms, is_joined)| Group {
                            name,
                            members_count,
                            last_message_at_ms,
                            is_joined,
                        },
                    )
                    .collect();
                let has_more = truncate(&mut groups, limit);
                Ok(Groups { groups, has_more })
            })
        })
        .await
    }
}

pub(super) async fn exists(connection: &mut PgConnection, group: &GroupName) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM groups WHERE name = $1)")
        .bind(group.as_str())
        .fetch_one(connection)
        .await
}

pub(super) async fn members_after(
    connection: &mut PgConnection,
    group: &GroupName,
    after: &str,
    limit: i64,
) -> sqlx::Result<Vec<User>> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT user_id, user_name FROM members
         WHERE group_name = $1 AND user_name > $2 AND is_member
         ORDER BY user_name, user_id LIMIT $3",
    )
    .bind(group.as_str())
    .bind(after)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|(id, name)| user(id, name)).collect())
}
