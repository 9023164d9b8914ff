//! The current group: joining, leaving, history and likes.

use causeway_client::{CallError, Liked, Message, Page, Snapshot, User, Window};

use super::{Chat, Connection};
use crate::names;
use crate::pager::Section;
use crate::pages::{Pages, first_position};
use crate::text::sanitised_line;

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
        let mark = self.state.context.mark.clone();
        match self.join_with_all_seen(&client, group, mark).await {
            Ok(joined) => {
                self.leave_stream();
                self.state.joined(&joined.body.group, joined.mark);
                let cursor = self.show_new_group(&joined.body);
                self.follow(client, joined.body.group, cursor);
            }
            Err(error) => self.call_failed(&error),
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
            .style
            .group(snapshot, self.state.user.as_deref().unwrap_or_default());
        self.show_all(&head);
        self.state.online.show(snapshot);
        self.terminal.add_users(&snapshot.online);
        self.terminal.add_groups([snapshot.group.clone()]);
        for message in &snapshot.messages {
            let block = self.new_block_of(message);
            self.output.show_block(block);
        }
    }

    /// The stream could not be resumed: shows a new snapshot and follows the group from there.
    pub(super) async fn start_again(&mut self) {
        let (Connection::LoggedIn(client), Some(group)) =
            (&self.connection, self.state.group.clone())
        else {
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
            Err(error) if error.passes() => self.lose_server(&error.to_string()),
            Err(error) => self.call_failed(&error),
        }
    }

    /// The server refuses to stream the group, so the group is left.
    pub(super) fn refuse_group(&mut self, error: &CallError) {
        if !error.is_lost() && !error.is("unauthenticated") {
            self.leave_stream();
            self.state.enter(None);
        }
        self.call_failed(error);
    }

    /// `/leave`: ends the membership of the given group, or of the current one.
    pub(super) async fn leave(&mut self, group: Option<String>) {
        let Some(client) = self.logged_in() else {
            return;
        };
        let Some(group) = group.or_else(|| self.state.group.clone()) else {
            return self.report_failure(
                "You are in no group. Type /leave and a name, as in: /leave lobby",
            );
        };
        match client.leave(&group).await {
            Ok(mark) => {
                self.state.context.mark = mark.or(self.state.context.mark.take());
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
            Err(error) => self.call_failed(&error),
        }
    }

    /// `l` and `r`.
    pub(super) async fn like(&mut self, number: u64, likes_it: bool) {
        let Some((client, group)) = self.in_group() else {
            return;
        };
        let Some(id) = self.state.numbers.message(number).map(str::to_owned) else {
            return self.report_failure(&format!(
                "There is no message {number} on this screen; p shows them all"
            ));
        };
        match client.like(&group, &id, likes_it).await {
            Ok(written) => {
                self.state.context.mark = written.mark.or(self.state.context.mark.take());
                let by = User {
                    id: String::new(),
                    name: self.state.user.clone().unwrap_or_default(),
                };
                let liked = Liked {
                    by,
                    message: written.body,
                };
                self.show(self.style.liked(number, &liked, likes_it));
                self.own_like = Some((id, likes_it));
            }
            Err(error) => self.call_failed(&error),
        }
    }

    /// `/show`: shows a whole message.
    pub(super) async fn show_whole(&mut self, number: u64) {
        let Some((client, group)) = self.in_group() else {
            return;
        };
        let Some(id) = self.state.numbers.message(number).map(str::to_owned) else {
            return self.report_failure(&format!(
                "There is no message {number} on this screen; p shows them all"
            ));
        };
        let message = match client.message(&group, &id).await {
            Ok(message) => message,
            Err(error) => return self.call_failed(&error),
        };
        let block = self.block_of(&message);
        if !self.output.is_terminal() {
            return self.output.show_block(block);
        }
        let section = Section {
            blocks: vec![block],
            from_end: false,
            end: None,
        };
        self.output.page(section).await;
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
            Err(error) => return self.call_failed(&error),
        };
        let Some(last) = newest.messages.first() else {
            return self.note(&format!("no messages in {group} yet"));
        };
        self.state.numbers.restart();
        let mut pages = Pages::<Message>::after(&group, first_position(&last.position));
        while let Some(fetched) = pages.next(&client).await {
            let page = match fetched {
                Ok(page) => page,
                Err(error) => return self.call_failed(&error),
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
            let author = sanitised_line(&message.author.name);
            self.note(&format!(
                "{number} ({author}) now stands earlier in the history"
            ));
        } else {
            let block = self.block_of(message);
            self.output.show_block(block);
        }
    }
}
