//! The current group: joining, leaving, history and likes.

use causeway_client::{CallError, Liked, Message, Page, Snapshot, User, Window};

use super::{Chat, Link};
use crate::names;
use crate::pager::Sheet;
use crate::pages::{Pages, first_place};
use crate::text::harmless_line;

impl Chat {
    /// `j`: enters a group.
    pub(super) async fn join(&mut self, group: &str) {
        let Some(client) = self.logged_in() else {
            return;
        };
        if self
            .state
            .group
            .as_ref()
            .is_some_and(|present| names::are_same(present, group))
        {
            return self.note(&format!("You are already in {group}"));
        }
        let mark = self.state.seen.mark.clone();
        match self.join_with_all_seen(&client, group, mark).await {
            Ok(joined) => {
                self.leave_stream();
                self.state.joined(&joined.body.group, joined.mark);
                let cursor = self.show_new_group(&joined.body);
                self.follow(client, joined.body.group, cursor);
            }
            Err(error) => self.failed(&error),
        }
    }

    /// Closes the group's stream, which takes the user offline there, and goes on watching the
    /// server.
    fn leave_stream(&mut self) {
        self.new_connection();
        self.watch();
    }

    pub(super) fn show_group(&mut self, snapshot: &Snapshot) {
        let head = self
            .look
            .group(snapshot, self.state.user.as_deref().unwrap_or_default());
        self.show_all(&head);
        self.heard_of.of_users(&snapshot.online);
        self.heard_of.of_groups([snapshot.group.clone()]);
        for message in &snapshot.messages {
            let block = self.new_block_of(message);
            self.output.show_block(block);
        }
    }

    /// The stream could not be resumed: shows a new snapshot and follows the group from there.
    pub(super) async fn start_again(&mut self) {
        let (Link::LoggedIn(client), Some(group)) = (&self.link, self.state.group.clone()) else {
            return;
        };
        let client = client.clone();
        match client.snapshot(&group).await {
            Ok(snapshot) => {
                self.note("the history here has changed; these are its newest messages");
                self.show_group(&snapshot);
                self.leave_stream();
                self.follow(client, group, snapshot.cursor);
            }
            // Without a stream, new messages would not be shown.
            Err(error) if error.passes() => self.lose(&error.to_string()),
            Err(error) => self.failed(&error),
        }
    }

    /// The server refuses to stream the group, so the group is left.
    pub(super) fn refuse_group(&mut self, error: &CallError) {
        if !error.is_lost() && !error.is("unauthenticated") {
            self.leave_stream();
            self.state.enter(None);
        }
        self.failed(error);
    }

    /// `/leave`: ends the membership of the given group, or of the current one.
    pub(super) async fn leave(&mut self, group: Option<String>) {
        let Some(client) = self.logged_in() else {
            return;
        };
        let Some(group) = group.or_else(|| self.state.group.clone()) else {
            return self
                .complain("You are in no group. Type /leave and a name, as in: /leave lobby");
        };
        match client.leave(&group).await {
            Ok(mark) => {
                self.state.seen.mark = mark.or(self.state.seen.mark.take());
                if self
                    .state
                    .group
                    .as_ref()
                    .is_some_and(|present| names::are_same(present, &group))
                {
                    self.leave_stream();
                    self.state.enter(None);
                }
                self.note(&format!("you are no longer a member of {group}"));
            }
            Err(error) => self.failed(&error),
        }
    }

    /// `l` and `r`.
    pub(super) async fn like(&mut self, number: u64, likes_it: bool) {
        let Some((client, group)) = self.in_group() else {
            return;
        };
        let Some(id) = self.state.numbers.message(number).map(str::to_owned) else {
            return self.complain(&format!(
                "There is no message {number} on this screen; p shows them all"
            ));
        };
        match client.like(&group, &id, likes_it).await {
            Ok(written) => {
                self.state.seen.mark = written.mark.or(self.state.seen.mark.take());
                let by = User {
                    id: String::new(),
                    name: self.state.user.clone().unwrap_or_default(),
                };
                let liked = Liked {
                    by,
                    message: written.body,
                };
                self.show(self.look.liked(number, &liked, likes_it));
                self.own_like = Some((id, likes_it));
            }
            Err(error) => self.failed(&error),
        }
    }

    /// `/show`: shows a whole message.
    pub(super) async fn show_whole(&mut self, number: u64) {
        let Some((client, group)) = self.in_group() else {
            return;
        };
        let Some(id) = self.state.numbers.message(number).map(str::to_owned) else {
            return self.complain(&format!(
                "There is no message {number} on this screen; p shows them all"
            ));
        };
        let message = match client.message(&group, &id).await {
            Ok(message) => message,
            Err(error) => return self.failed(&error),
        };
        let block = self.block_of(&message);
        if !self.output.is_terminal() {
            return self.output.show_block(block);
        }
        let sheet = Sheet {
            blocks: vec![block],
            from_end: false,
            end: None,
        };
        self.output.page(sheet).await;
    }

    /// `p`: shows the whole history, numbered from 1, page after page.
    pub(super) async fn history(&mut self) {
        let Some((client, group)) = self.in_group() else {
            return;
        };
        if self.output.is_terminal() {
            return self.read_history(&client, &group).await;
        }
        let newest: Page = match client.page(&group, Window::Newest, 1).await {
            Ok(newest) => newest,
            Err(error) => return self.failed(&error),
        };
        let Some(last) = newest.messages.first() else {
            return self.note(&format!("no messages in {group} yet"));
        };
        self.state.numbers.count_anew();
        let mut pages = Pages::<Message>::after(&group, first_place(&last.position));
        while let Some(fetched) = pages.next(&client).await {
            let page = match fetched {
                Ok(page) => page,
                Err(error) => return self.failed(&error),
            };
            let lines: Vec<_> = page
                .messages
                .iter()
                .map(|message| self.block_of(message).text)
                .collect();
            self.output.show(lines.join("\n"));
            if self.output.is_closed() {
                return;
            }
        }
    }

    /// Reports a message that moved because an earlier copy of it has arrived.
    pub(super) fn show_moved(&mut self, message: &Message) {
        if let Some(number) = self.state.numbers.of(&message.id) {
            let author = harmless_line(&message.author.name);
            self.note(&format!(
                "{number} ({author}) now stands earlier in the history"
            ));
        } else {
            let block = self.block_of(message);
            self.output.show_block(block);
        }
    }
}
