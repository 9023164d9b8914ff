//! Stream frames: each becomes lines on the screen.

use causeway_client::{Frame, Liked, Message, Presence, User, View};

use super::Chat;
use crate::background::{Event, Report};
use crate::screen;
use crate::state::online::Change;

impl Chat {
    /// Handles a report of a background task; reports of a former connection are ignored.
    pub(super) async fn handle_report(&mut self, report: Report) {
        if report.generation != self.generation {
            return;
        }
        match report.event {
            Event::Frame(frame, id) => {
                if !id.is_empty() {
                    self.state.context.cursor = Some(id);
                }
                self.handle_frame(*frame).await;
            }
            Event::Groups(groups) => self.terminal.add_groups(groups),
            Event::Lost(reason) => self.lose_server(&reason),
            Event::Refused(error) if error.is("invalid") => self.start_again().await,
            Event::Refused(error) => self.refuse_group(&error),
        }
        self.maintain_connection().await;
    }

    async fn handle_frame(&mut self, frame: Frame) {
        match frame {
            Frame::Message(message) => self.on_message(&message),
            Frame::Like(liked) => self.on_like(&liked, true),
            Frame::Unlike(liked) => self.on_like(&liked, false),
            Frame::Join(user) => self.on_member(&user, "has joined"),
            Frame::Leave(user) => self.on_member(&user, "has left the group"),
            Frame::Moved(message) => self.show_moved(&message),
            Frame::Presence(presence) => self.on_presence(&presence),
            Frame::View(view) => self.on_view(view),
            Frame::Stored(stored) => self.on_stored(&stored.id, stored.stored_on.len()),
            Frame::Merged(merged) => {
                self.state.late.announce(merged.count);
                self.note(&screen::merged(merged.count, merged.from));
            }
            Frame::Reset => self.start_again().await,
            Frame::CaughtUp => self.catching_up = None,
            Frame::Unknown => {}
        }
    }

    fn on_message(&mut self, message: &Message) {
        if self.state.numbers.of(&message.id).is_none() {
            let block = self.new_block_of(message);
            self.output.show_block(block);
        } else {
            self.on_stored(&message.id, message.stored_on.len());
        }
    }

    /// Updates the count of the last own message at once; other counts are reported together later.
    fn on_stored(&mut self, id: &str, held_by: usize) {
        self.state.stored(id, held_by);
        self.show_stored();
    }

    fn on_like(&mut self, liked: &Liked, likes_it: bool) {
        let is_own = self.is_me(&liked.by);
        if is_own
            && self
                .own_like
                .take_if(|(id, likes)| *id == liked.message.id && *likes == likes_it)
                .is_some()
        {
            return;
        }
        let number = self.state.numbers.show(&liked.message.id);
        self.show(self.style.liked(number, liked, likes_it));
    }

    fn on_member(&mut self, user: &User, what: &str) {
        if !self.is_me(user) {
            self.note(&format!("{} {what}", user.name));
        }
    }

    fn on_presence(&mut self, presence: &Presence) {
        let mut presence = match self.state.online.fold(presence) {
            Change::Named(presence) => presence,
            Change::Crowd(count) => return self.note(&screen::crowd(count)),
            Change::Nothing => return,
        };
        presence.online.retain(|user| !self.is_me(user));
        presence.offline.retain(|user| !self.is_me(user));
        self.terminal.add_users(&presence.online);
        self.show_all(&self.style.presence(&presence));
    }

    fn on_view(&mut self, view: View) {
        self.show_all(&self.style.view_changes(self.state.view.as_ref(), &view));
        self.state.view = Some(view);
    }

    fn is_me(&self, user: &User) -> bool {
        self.state.user.as_deref() == Some(user.name.as_str())
    }
}
