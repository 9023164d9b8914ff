//! Pure: messages and events as lines of text.
//!
//! All text from the network is sanitised here, and shown nowhere else. `chat` hands the lines to a
//! terminal or a pipe.

mod help;
mod servers;

use std::fmt::Write as _;

use causeway_client::{Liked, Message, Presence, Snapshot, User};
use jiff::{Timestamp, tz::TimeZone};

use crate::text::{self, excerpt, isolated, sanitised, sanitised_line};

const DIM: &str = "2";
const BOLD: &str = "1";
const CYAN: &str = "36";
const YELLOW: &str = "33";
const GREEN: &str = "32";
const RED: &str = "31";

/// How text is formatted.
#[derive(Debug, Clone)]
pub struct Style {
    /// Whether colour codes are written.
    pub color: bool,
    /// The zone in which times are shown.
    pub zone: TimeZone,
}

/// A message to be shown.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// The number in front of it.
    pub number: u64,
    /// What is shown.
    pub message: &'a Message,
    /// It was announced as late: it sorts before messages that were shown already.
    pub is_late: bool,
    /// For an own message: how many replicas hold it, and how many there are.
    pub held: Option<(usize, usize)>,
}

impl Style {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.color {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    /// A remark of the program itself.
    pub fn note(&self, text: &str) -> String {
        self.remark(&isolated(&sanitised_line(text)))
    }

    /// The same for text that is sanitised already.
    fn remark(&self, text: &str) -> String {
        self.paint(DIM, &format!("· {text}"))
    }

    /// Reports something that did not go as asked.
    pub fn warning(&self, text: &str) -> String {
        self.paint(YELLOW, &format!("! {}", isolated(&sanitised_line(text))))
    }

    /// A message: number, time, author, text, likes and, for an own message, its replica count.
    /// Continuation lines are indented, so that no text can imitate another message.
    pub fn message(&self, shown: Shown<'_>, now: Timestamp) -> String {
        let Shown {
            number,
            message,
            is_late,
            held,
        } = shown;
        let late = if is_late { " (late)" } else { "" };
        let time = self.time_of(message, now);
        let mut line = self.paint(DIM, &format!("{number:>3} {time}{late}"));
        let author = text::name(&message.author.name);
        let author = self.paint(if held.is_some() { "1;32" } else { "1;36" }, &author);
        let text = isolated(&sanitised(&message.text)).replace('\n', "\n    | ");
        let _ = write!(line, " {author}: {text}");
        if message.likes > 0 {
            let _ = write!(
                line,
                "  {}",
                self.paint(CYAN, &format!("({})", likes(message.likes)))
            );
        }
        if let Some((held_by, replicas)) = held {
            let _ = write!(
                line,
                "  {}",
                self.paint(DIM, &format!("{held_by}/{replicas}"))
            );
        }
        line
    }

    fn time_of(&self, message: &Message, now: Timestamp) -> String {
        let said = message
            .sent_at
            .as_deref()
            .or(message.received_at.as_deref());
        self.time(said, now).unwrap_or_else(|| "--:--".to_owned())
    }

    fn time(&self, text: Option<&str>, now: Timestamp) -> Option<String> {
        let time = text?.parse::<Timestamp>().ok()?.to_zoned(self.zone.clone());
        let today = time.date() == now.to_zoned(self.zone.clone()).date();
        Some(
            time.strftime(if today { "%H:%M" } else { "%Y-%m-%d %H:%M" })
                .to_string(),
        )
    }

    /// The heading of a group that `me` has joined; its messages follow one by one.
    pub fn group(&self, snapshot: &Snapshot, me: &str) -> Vec<String> {
        let group = self.paint(BOLD, &text::name(&snapshot.group));
        let others: Vec<_> = snapshot
            .online
            .iter()
            .filter(|user| user.name != me)
            .collect();
        let is_among = others.len() < snapshot.online.len();
        let more = snapshot
            .online_count
            .saturating_sub(snapshot.online.len() as u64);
        let online = match (others.is_empty(), more) {
            (true, 0) => "nobody else is online".to_owned(),
            (_, 0) => format!("online: {}", names(others)),
            (_, more) => format!("online: {} and {more} more", names(others)),
        };
        let yourself = if is_among {
            "; you are also online elsewhere"
        } else {
            ""
        };
        let mut lines = vec![
            format!("{group}: {}", members(snapshot.members_count)),
            self.remark(&format!("{online}{yourself}")),
        ];
        if snapshot.messages.is_empty() {
            lines.push(self.note("no messages yet"));
        }
        lines
    }

    /// A like of the message with this number, or its withdrawal.
    pub fn liked(&self, number: u64, liked: &Liked, likes_it: bool) -> String {
        let Liked { by, message } = liked;
        let verb = if likes_it { "likes" } else { "no longer likes" };
        let quote = isolated(&excerpt(&message.text, 30));
        let author = text::name(&message.author.name);
        let by = text::name(&by.name);
        let text = format!(
            "· {by} {verb} {number} ({author}: {quote}), now {}",
            likes(message.likes)
        );
        self.paint(CYAN, &text)
    }

    /// Who came online and who went offline.
    pub fn presence(&self, presence: &Presence) -> Vec<String> {
        let count = presence.count;
        let mut lines = Vec::new();
        if !presence.online.is_empty() {
            lines.push(self.remark(&format!(
                "online: {} ({count} now)",
                names(&presence.online)
            )));
        }
        if !presence.offline.is_empty() {
            lines.push(self.remark(&format!(
                "offline: {} ({count} now)",
                names(&presence.offline)
            )));
        }
        lines
    }
}

fn names<'a>(users: impl IntoIterator<Item = &'a User>) -> String {
    users
        .into_iter()
        .map(|user| text::name(&user.name))
        .collect::<Vec<_>>()
        .join(", ")
}

fn likes(count: u64) -> String {
    if count == 1 {
        "1 like".to_owned()
    } else {
        format!("{count} likes")
    }
}

fn members(count: u64) -> String {
    if count == 1 {
        "1 member".to_owned()
    } else {
        format!("{count} members")
    }
}

/// Reports how many replicas hold some own messages, whose numbers ascend.
pub fn stored(numbers: &[u64], held_by: usize, replicas: usize) -> String {
    let runs = numbers.chunk_by(|one, next| one + 1 == *next);
    let runs = runs.map(|run| match run {
        [one] => one.to_string(),
        [one, two] => format!("{one}, {two}"),
        [first, .., last] => format!("{first}–{last}"),
        [] => String::new(),
    });
    let verb = if numbers.len() == 1 { "is" } else { "are" };
    let list = runs.collect::<Vec<_>>().join(", ");
    format!("{list} {verb} on {held_by}/{replicas} servers")
}

/// Announces that more users are online than the server names.
pub fn crowd(count: u64) -> String {
    format!("{count} are online now, too many to name")
}

/// Announces messages that arrive late.
pub fn merged(count: u64, from: u64) -> String {
    let messages = if count == 1 { "message" } else { "messages" };
    format!("{count} earlier {messages} from replica {from}; p shows the whole history in order")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Style = Style {
        color: false,
        zone: TimeZone::UTC,
    };

    fn now() -> Timestamp {
        "2026-03-01T18:00:00Z".parse().unwrap()
    }

    fn user(name: &str) -> User {
        User {
            id: name.to_uppercase(),
            name: name.into(),
        }
    }

    fn message(text: &str, likes: u64) -> Message {
        Message {
            id: "m".into(),
            author: user("ann"),
            text: text.into(),
            sent_at: Some("2026-03-01T16:03:09.5Z".into()),
            received_at: None,
            likes,
            position: "00".into(),
            stored_on: vec![1, 2, 3],
        }
    }

    fn shown(message: &Message, held: Option<(usize, usize)>) -> String {
        PLAIN.message(
            Shown {
                number: 12,
                message,
                is_late: false,
                held,
            },
            now(),
        )
    }

    #[test]
    fn a_message_shows_number_time_author_text_and_likes() {
        assert_eq!(shown(&message("hello", 0), None), " 12 16:03 ann: hello");
        assert_eq!(
            shown(&message("hello", 1), None),
            " 12 16:03 ann: hello  (1 like)"
        );
    }

    #[test]
    fn an_own_message_shows_how_many_replicas_hold_it() {
        assert_eq!(
            shown(&message("hello", 2), Some((3, 5))),
            " 12 16:03 ann: hello  (2 likes)  3/5"
        );
    }

    #[test]
    fn a_message_of_another_day_shows_the_date() {
        let yesterday = Message {
            sent_at: Some("2026-02-28T23:59:00Z".into()),
            ..message("hello", 0)
        };
        assert_eq!(shown(&yesterday, None), " 12 2026-02-28 23:59 ann: hello");
    }

    #[test]
    fn no_text_looks_like_another_message_or_steers_the_terminal() {
        let text = shown(&message("a\n 13 16:04 bob: b\u{1b}[2J", 0), None);
        assert_eq!(text, " 12 16:03 ann: a\n    |  13 16:04 bob: b\u{fffd}[2J");
    }

    #[test]
    fn a_text_from_right_to_left_keeps_what_surrounds_it_in_place() {
        assert_eq!(
            shown(&message("שלום", 1), None),
            " 12 16:03 ann: \u{2068}שלום\u{2069}  (1 like)"
        );
        let names = PLAIN.group(&snapshot(&["דוד", "ann"], 2), "eve")[1].clone();
        assert_eq!(names, "· online: \u{2068}דוד\u{2069}, ann");
    }

    #[test]
    fn a_like_names_the_message_by_its_number() {
        let liked = Liked {
            by: user("bob"),
            message: message("hello\nyou", 2),
        };
        assert_eq!(
            PLAIN.liked(12, &liked, true),
            "· bob likes 12 (ann: hello you), now 2 likes"
        );
        assert_eq!(
            PLAIN.liked(12, &liked, false),
            "· bob no longer likes 12 (ann: hello you), now 2 likes"
        );
    }

    fn snapshot(online: &[&str], online_count: u64) -> Snapshot {
        Snapshot {
            group: "lobby".into(),
            online: online.iter().map(|name| user(name)).collect(),
            online_count,
            members_count: 4,
            messages: vec![],
            cursor: "c".into(),
        }
    }

    #[test]
    fn a_group_shows_who_is_online() {
        let online = |names: &[&str], count| PLAIN.group(&snapshot(names, count), "eve")[1].clone();

        assert_eq!(online(&["ann", "bob"], 2), "· online: ann, bob");
        assert_eq!(online(&["ann", "bob"], 3), "· online: ann, bob and 1 more");
        assert_eq!(online(&[], 0), "· nobody else is online");
        assert_eq!(
            online(&["eve"], 1),
            "· nobody else is online; you are also online elsewhere"
        );
    }

    #[test]
    fn a_group_shows_its_members_and_that_it_is_empty() {
        let lines = PLAIN.group(&snapshot(&["ann"], 1), "eve");

        assert_eq!(
            lines,
            ["lobby: 4 members", "· online: ann", "· no messages yet"]
        );
    }

    #[test]
    fn own_messages_are_told_of_together() {
        assert_eq!(stored(&[4], 3, 5), "4 is on 3/5 servers");
        assert_eq!(
            stored(&[4, 5, 7, 9, 10, 11], 5, 5),
            "4, 5, 7, 9–11 are on 5/5 servers"
        );
    }

    #[test]
    fn colours_are_written_only_when_asked_for() {
        let color = Style {
            color: true,
            ..PLAIN
        };
        assert!(color.note("x").contains('\u{1b}'));
        let plain = [
            PLAIN.note("x"),
            PLAIN.warning("x"),
            PLAIN.help().concat(),
            shown(&message("x", 3), Some((3, 5))),
        ];
        assert!(!plain.concat().contains('\u{1b}'));
    }
}
