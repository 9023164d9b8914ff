//! Type-ahead: lines entered while a command runs. Messages among them are stored in the outbox at
//! once if their group is known, and sent when their turn comes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::pin;
use std::rc::Rc;

use tokio::sync::mpsc::Receiver;

use super::Chat;
use crate::clock;
use crate::input::{self, Input};
use crate::outbox::{Outbox, Unsent, draw_key};
use crate::prompt::Typed;

/// Lines entered before the chat was ready for them.
pub(super) struct TypeAhead {
    outbox: Rc<RefCell<Outbox>>,
    /// Ready to be processed, in order.
    typed: VecDeque<Typed>,
    /// All lines not processed yet: those in `typed`, then those still buffered in the terminal.
    lines: VecDeque<Line>,
    /// How many of `lines` are in `typed`.
    ready: usize,
    /// The template for a message written now; `None` while its group is unknown.
    template: Option<Unsent>,
}

struct Line {
    text: String,
    /// The key under which its message is in the outbox.
    key: Option<String>,
}

impl TypeAhead {
    pub(super) fn new(outbox: &Rc<RefCell<Outbox>>) -> Self {
        Self {
            outbox: Rc::clone(outbox),
            typed: VecDeque::new(),
            lines: VecDeque::new(),
            ready: 0,
            template: None,
        }
    }

    /// The next input, with the key of the message that is stored for it.
    pub(super) fn next(&mut self) -> Option<(Typed, Option<String>)> {
        let typed = self.typed.pop_front()?;
        let mut key = None;
        if matches!(typed, Typed::Line(_)) {
            self.ready -= 1;
            key = self.lines.pop_front().and_then(|line| line.key);
        }
        Some((typed, key))
    }

    /// Sets the template that applies while the next command runs.
    pub(super) fn set_template(&mut self, template: Option<Unsent>) {
        self.template = template;
    }

    /// Runs `work`, and stores what is typed meanwhile.
    pub(super) async fn during<T>(
        &mut self,
        typed: &mut Receiver<Typed>,
        work: impl Future<Output = T>,
    ) -> T {
        self.store();
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                Some(typed) = typed.recv() => {
                    self.receive(typed);
                    self.store();
                }
            }
        }
    }

    pub(super) fn receive(&mut self, typed: Typed) {
        match typed {
            Typed::Early(lines) => self.replace_buffered(lines),
            Typed::Line(text) => {
                if self
                    .lines
                    .get(self.ready)
                    .is_none_or(|line| line.text != text)
                {
                    self.replace_buffered(vec![text.clone()]);
                }
                self.ready += 1;
                self.typed.push_back(Typed::Line(text));
            }
            other => self.typed.push_back(other),
        }
    }

    /// Replaces the lines that are buffered in the terminal. Lines that have vanished were keys for
    /// something else, such as the pager: their messages are dropped.
    fn replace_buffered(&mut self, lines: Vec<String>) {
        let known = self.lines.range(self.ready..).zip(&lines);
        let same = known.take_while(|(line, text)| line.text == **text).count();
        for line in self.lines.drain(self.ready + same..) {
            if let Some(key) = line.key {
                // If the drop cannot be written, the message is sent rather than lost.
                let _ = self.outbox.borrow_mut().drop_message(&key);
            }
        }
        let new = lines.into_iter().skip(same);
        self.lines.extend(new.map(|text| Line { text, key: None }));
    }

    /// Stores messages up to the first line that may change the group.
    fn store(&mut self) {
        let Some(template) = &self.template else {
            return;
        };
        for line in &mut self.lines {
            match input::parse(&line.text) {
                Ok(Input::Send(_)) if line.key.is_some() => {}
                Ok(Input::Send(text)) => {
                    let unsent = Unsent {
                        key: draw_key(),
                        text,
                        sent_at: clock::now().to_string(),
                        awaits_turn: true,
                        ..template.clone()
                    };
                    let key = unsent.key.clone();
                    if self.outbox.borrow_mut().push(unsent).is_err() {
                        // The error is reported when its turn comes.
                        return;
                    }
                    line.key = Some(key);
                }
                Ok(input) if !input.leaves_group() => return,
                _ => {}
            }
        }
    }
}

impl Chat {
    /// The template for messages typed while `work` runs.
    pub(super) fn template(&self, work: Option<&str>) -> Option<Unsent> {
        let parsed = work.and_then(|line| input::parse(line).ok());
        let leaves_group = parsed.is_none_or(|input| input.leaves_group());
        if !leaves_group || self.outbox_fault.is_some() || self.state.user.is_none() {
            return None;
        }
        let group = self.state.group.clone()?;
        Some(self.unsent(group, String::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ahead() -> TypeAhead {
        let mut ahead = TypeAhead::new(&Rc::default());
        ahead.set_template(Some(Unsent {
            key: String::new(),
            group: "lobby".into(),
            text: String::new(),
            sent_at: String::new(),
            server: "http://a:1".into(),
            cluster: Some("c".into()),
            joined: None,
            tried: false,
            refused: None,
            awaits_join: false,
            awaits_turn: false,
        }));
        ahead
    }

    fn buffer(ahead: &mut TypeAhead, lines: &[&str]) {
        ahead.receive(Typed::Early(
            lines.iter().map(|line| (*line).to_owned()).collect(),
        ));
        ahead.store();
    }

    fn kept(ahead: &TypeAhead) -> Vec<String> {
        let outbox = ahead.outbox.borrow();
        outbox.all().iter().map(|kept| kept.text.clone()).collect()
    }

    #[test]
    fn messages_are_kept_once_up_to_a_line_that_may_change_their_group() {
        for line in [
            "j other",
            "u bob",
            "c 2",
            "/leave",
            "p",
            "/outbox drop 1",
            "q",
        ] {
            let mut ahead = ahead();
            buffer(&mut ahead, &["a one"]);

            buffer(
                &mut ahead,
                &["a one", "v", "nonsense", "a two", line, "a three"],
            );

            assert_eq!(kept(&ahead), ["one", "two"], "{line}");
        }
    }

    #[test]
    fn a_message_kept_ahead_waits_for_its_turn() {
        let mut ahead = ahead();
        buffer(&mut ahead, &["a one", "a two"]);
        assert_eq!(ahead.outbox.borrow().next("c", &[]), None);

        ahead.receive(Typed::Line("a one".into()));
        let (typed, key) = ahead.next().unwrap();

        assert_eq!(typed, Typed::Line("a one".into()));
        assert_eq!(key.as_ref(), Some(&ahead.outbox.borrow().all()[0].key));
        assert_eq!(kept(&ahead), ["one", "two"]);
    }

    #[test]
    fn keys_that_were_for_somebody_else_leave_no_message() {
        let mut ahead = ahead();
        buffer(&mut ahead, &["a one", "a two"]);

        ahead.receive(Typed::Line("a other".into()));

        assert_eq!(kept(&ahead), [""; 0]);
        let (_, key) = ahead.next().unwrap();
        assert_eq!(key, None);
    }
}
