//! `/outbox`: what is not sent yet, or was refused.

use super::Chat;
use super::post::unwritable;
use crate::input::Unsent as Asked;
use crate::outbox::{Keeping, Outbox, Unsent, draw_key};
use crate::text::excerpt;

impl Chat {
    /// Opens the outbox of the name one has.
    pub(super) fn open_outbox(&mut self) {
        let Some(user) = &self.state.user else { return };
        self.outbox.replace(Outbox::default());
        match self.keeping.open(user) {
            Ok(opened) => {
                self.outbox.replace(opened.outbox);
                self.outbox_fault = None;
                if let Some((lines, beside)) = opened.damaged {
                    self.complain(&format!(
                        "{lines} lines of the outbox could not be read; they are kept in {beside}"
                    ));
                }
                self.tell_of_kept();
            }
            Err(error) => {
                self.outbox_fault = Some(error.to_string());
                let warning = format!("Nothing can be sent: {error}");
                self.show(self.look.warning(&warning));
            }
        }
    }

    fn tell_of_kept(&mut self) {
        let (waiting, refused) = {
            let outbox = self.outbox.borrow();
            (outbox.len(), outbox.refusals())
        };
        if waiting > 0 {
            self.note(&format!(
                "{waiting} not sent before, to be sent now; /outbox lists them"
            ));
        }
        if refused > 0 {
            self.note(&format!(
                "{refused} refused before; /outbox lists them, to edit or drop"
            ));
        }
    }

    /// Whether what waits is there again when the program is.
    pub(super) fn keeps(&self) -> bool {
        matches!(self.keeping, Keeping::Folder(_)) && self.outbox_fault.is_none()
    }

    pub(super) async fn outbox(&mut self, asked: Asked) {
        match asked {
            Asked::List => self.list_outbox(),
            Asked::Drop(number) => self.drop_unsent(number),
            Asked::Edit(number, text) => {
                self.edit_unsent(number, text);
                self.catch_up().await;
                self.send_what_waits().await;
            }
        }
    }

    fn list_outbox(&mut self) {
        let all = self.outbox.borrow().all().to_vec();
        if all.is_empty() {
            return self.note("nothing waits to be sent");
        }
        let cluster = self.state.cluster.as_deref();
        let lines: Vec<_> = (1..)
            .zip(&all)
            .map(|(number, unsent)| self.unsent_line(number, unsent, cluster))
            .collect();
        self.show_all(&lines);
    }

    fn unsent_line(&self, number: usize, unsent: &Unsent, cluster: Option<&str>) -> String {
        let text = excerpt(&unsent.text, 60);
        let group = &unsent.group;
        let elsewhere = match &unsent.cluster {
            Some(of) if Some(of.as_str()) != cluster => format!(" of cluster {of}"),
            _ => String::new(),
        };
        match &unsent.refused {
            Some(reason) => self.look.warning(&format!(
                "{number} to {group}{elsewhere}, refused: {reason}: {text}"
            )),
            None => self.look.note(&format!(
                "{number} to {group}{elsewhere}, not sent yet: {text}"
            )),
        }
    }

    fn unsent_at(&mut self, number: u64) -> Option<Unsent> {
        let place = usize::try_from(number).ok()?.checked_sub(1)?;
        let unsent = self.outbox.borrow().all().get(place).cloned();
        if unsent.is_none() {
            self.complain(&format!("There is no message {number} in /outbox"));
        }
        unsent
    }

    fn drop_unsent(&mut self, number: u64) {
        let Some(unsent) = self.unsent_at(number) else {
            return;
        };
        let dropped = self.outbox.borrow_mut().drop_message(&unsent.key);
        match dropped {
            Ok(()) => {
                let doubt = if unsent.tried && unsent.refused.is_none() {
                    "; a server may have got it before, no answer has come"
                } else {
                    ""
                };
                let text = excerpt(&unsent.text, 40);
                self.note(&format!("dropped: {text}{doubt}"));
            }
            Err(error) => self.complain(&format!("Not dropped: {}", unwritable(&error))),
        }
    }

    /// A message that a server may have got cannot be changed: then there would be two.
    fn edit_unsent(&mut self, number: u64, text: Option<String>) {
        let Some(former) = self.unsent_at(number) else {
            return;
        };
        if former.tried && former.refused.is_none() {
            return self.complain(&format!(
                "Not changed: a server may have got {number} already, no answer has come. It is sent again as it is; /outbox drop {number} forgets it"
            ));
        }
        let changed = Unsent {
            key: draw_key(),
            text: text.unwrap_or_else(|| former.text.clone()),
            tried: false,
            refused: None,
            joined: former.joined.clone().or_else(|| self.state.join.clone()),
            awaits_join: false,
            ..former.clone()
        };
        let replaced = self.outbox.borrow_mut().replace(&former.key, &changed);
        match replaced {
            Ok(()) => {
                self.note(&format!(
                    "{number} is changed, and sent as soon as a server takes it"
                ));
            }
            Err(error) => self.complain(&format!("Not changed: {}", unwritable(&error))),
        }
    }
}
