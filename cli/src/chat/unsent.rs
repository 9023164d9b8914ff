//! `/outbox`: what is not sent yet, or was refused.

use super::Chat;
use super::sending::unwritable;
use crate::input::OutboxCommand;
use crate::outbox::{Outbox, Storage, Unsent, draw_key};
use crate::text::excerpt;

impl Chat {
    /// Opens the outbox of the current user.
    pub(super) fn open_outbox(&mut self) {
        let Some(user) = &self.state.user else { return };
        self.outbox.replace(Outbox::default());
        match self.storage.open(user) {
            Ok(opened) => {
                self.outbox.replace(opened.outbox);
                self.outbox_fault = None;
                if let Some((lines, beside)) = opened.damaged {
                    self.report_failure(&format!(
                        "{lines} lines of the outbox could not be read; they are kept in {beside}"
                    ));
                }
                self.report_stored();
            }
            Err(error) => {
                self.outbox_fault = Some(error.to_string());
                let warning = format!("Nothing can be sent: {error}");
                self.show(self.style.warning(&warning));
            }
        }
    }

    fn report_stored(&mut self) {
        let (waiting, refused) = {
            let outbox = self.outbox.borrow();
            (outbox.len(), outbox.refusals())
        };
        if waiting > 0 {
            self.note(&format!(
                "still unsent: {waiting}; sending now, /outbox lists them"
            ));
        }
        if refused > 0 {
            self.note(&format!(
                "refused earlier: {refused}; /outbox lists them, to edit or drop"
            ));
        }
    }

    /// Whether unsent messages survive the end of the program.
    pub(super) fn is_durable(&self) -> bool {
        matches!(self.storage, Storage::Folder(_)) && self.outbox_fault.is_none()
    }

    pub(super) async fn outbox(&mut self, command: OutboxCommand) {
        match command {
            OutboxCommand::List => self.list_outbox(),
            OutboxCommand::Drop(number) => self.drop_unsent(number),
            OutboxCommand::Edit(number, text) => {
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
            Some(reason) => self.style.warning(&format!(
                "{number} to {group}{elsewhere}, refused: {reason}: {text}"
            )),
            None => self.style.note(&format!(
                "{number} to {group}{elsewhere}, not sent yet: {text}"
            )),
        }
    }

    fn unsent_at(&mut self, number: u64) -> Option<Unsent> {
        let place = usize::try_from(number).ok()?.checked_sub(1)?;
        let unsent = self.outbox.borrow().all().get(place).cloned();
        if unsent.is_none() {
            self.report_failure(&format!("There is no message {number} in /outbox"));
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
                    "; a server may already have stored it"
                } else {
                    ""
                };
                let text = excerpt(&unsent.text, 40);
                self.note(&format!("dropped: {text}{doubt}"));
            }
            Err(error) => self.report_failure(&format!("Not dropped: {}", unwritable(&error))),
        }
    }

    /// A message that a server may have stored cannot be changed: there would be two of it.
    fn edit_unsent(&mut self, number: u64, text: Option<String>) {
        let Some(former) = self.unsent_at(number) else {
            return;
        };
        if former.tried && former.refused.is_none() {
            return self.report_failure(&format!(
                "Not changed: a server may already have stored {number}. It will be sent again \
                 as it is; /outbox drop {number} forgets it"
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
                    "{number} is changed, and will be sent as soon as a server accepts it"
                ));
            }
            Err(error) => self.report_failure(&format!("Not changed: {}", unwritable(&error))),
        }
    }
}
