//! Stream frames: each becomes lines on the screen.

use causeway_client::{Frame, Liked, Message, Presence, User, View};

use super::Chat;
use crate::feed::{News, What};
use crate::screen;

impl Chat {
    /// Handles a report of a background task; reports of a former connection are ignored.
    pub(super) async fn hear(&mut self, news: News) {
        if news.connection != self.connection {
            return;
        }
        match news.what {
            What::Frame(frame, id) => {
                if !id.is_empty() {
                    self.state.seen.cursor = Some(id);
                }
                self.hear_frame(*frame).await;
            }
            What::Groups(groups) => self.heard_of.of_groups(groups),
            What::Lost(reason) => self.lose(&reason),
            What::Refused(error) if error.is("invalid") => self.start_again().await,
            What::Refused(error) => self.refuse_group(&error),
        }
        self.tend_link().await;
    }

    async fn hear_frame(&mut self, frame: Frame) {
        match frame {
            Frame::Message(message) => self.hear_message(&message),
            Frame::Like(liked) => self.hear_like(&liked, true),
            Frame::Unlike(liked) => self.hear_like(&liked, false),
            Frame::Join(user) => self.hear_member(&user, "has joined"),
            Frame::Leave(user) => self.hear_member(&user, "has left the group"),
            Frame::Moved(message) => self.show_moved(&message),
            Frame::Presence(presence) => self.hear_presence(presence),
            Frame::View(view) => self.hear_view(view),
            Frame::Stored(stored) => self.hear_stored(&stored.id, stored.stored_on.len()),
            Frame::Merged(merged) => {
                self.state.late.announce(merged.count);
                self.note(&screen::merged(merged.count, merged.from));
            }
            Frame::Reset => self.start_again().await,
            Frame::CaughtUp => self.catching_up = None,
            Frame::Unknown => {}
        }
    }

    fn hear_message(&mut self, message: &Message) {
        if self.state.numbers.of(&message.id).is_none() {
            let block = self.new_block_of(message);
            self.output.show_block(block);
        } else {
            self.hear_stored(&message.id, message.stored_on.len());
        }
    }

    /// Updates the count of the last own message at once; other counts are reported together later.
    fn hear_stored(&mut self, id: &str, held_by: usize) {
        self.state.stored(id, held_by);
        self.show_stored();
    }

    fn hear_like(&mut self, liked: &Liked, likes_it: bool) {
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
        self.show(self.look.liked(number, liked, likes_it));
    }

    fn hear_member(&mut self, user: &User, what: &str) {
        if !self.is_me(user) {
            self.note(&format!("{} {what}", user.name));
        }
    }

    fn hear_presence(&mut self, mut presence: Presence) {
        presence.online.retain(|user| !self.is_me(user));
        presence.offline.retain(|user| !self.is_me(user));
        self.heard_of.of_users(&presence.online);
        self.show_all(&self.look.presence(&presence));
    }

    fn hear_view(&mut self, view: View) {
        self.show_all(&self.look.view_changes(self.state.view.as_ref(), &view));
        self.state.view = Some(view);
    }

    fn is_me(&self, user: &User) -> bool {
        self.state.user.as_deref() == Some(user.name.as_str())
    }
}
