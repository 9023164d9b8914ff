//! Requests of clients, and their answers.

use causeway_domain::envelope::{Envelope, LEVEL, RawEvent};
use causeway_domain::group::GroupCommand;
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Epoch, Origin};
use causeway_domain::names::{GroupName, MessageId, User, key_digest};
use causeway_domain::post::{PostCommand, Refusal};
use causeway_domain::stamp::Stamp;
use causeway_domain::text::{IdempotencyKey, MessageText};
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::{Action, Command, Task};

use super::{Happening, World};
use crate::hits::Hit;
use crate::people::Request;
use crate::replica::Asker;

/// The timeout after which a client retries at another replica.
const TIMEOUT_MS: u64 = 3_000;
const TRIES: u32 = 6;

impl World {
    pub(super) fn client_acts(&mut self) {
        if self.is_healed {
            return;
        }
        let slowest_ms = if self.swarm.is_quiet { 1_500 } else { 250 };
        let in_ms = self.rng.between(20, slowest_ms);
        self.plan(in_ms, Happening::Client);
        match self.rng.below(100) {
            0..3 if self.swarm.poison => self.write_poison(),
            0..10 => {
                let at = self.rng.index(self.size);
                self.flip_presence(at);
            }
            10..14 => {
                for _ in 0..self.rng.below(8) {
                    self.act();
                }
            }
            _ => self.act(),
        }
    }

    /// A client writes at one replica, whichever others are reachable.
    pub(super) fn locals_act(&mut self, at: usize) {
        if !self.is_healed {
            self.act_at(at);
        }
    }

    fn act(&mut self) {
        let at = self.rng.index(self.size);
        self.act_at(at);
    }

    fn act_at(&mut self, at: usize) {
        let user = self.rng.index(self.people.users.len());
        let user = self.people.users[user].clone();
        let group = self.rng.index(self.people.groups.len());
        let group = self.people.groups[group].clone();
        let message = (!self.people.known.is_empty()).then(|| {
            let index = self.rng.index(self.people.known.len());
            self.people.known[index].clone()
        });
        let (group, action) = match (self.rng.below(100), message) {
            (0..18, _) => (group, Action::Group(GroupCommand::Join { user })),
            (18..22, _) => (group, Action::Group(GroupCommand::Leave { user })),
            (22..42, Some((group, message))) => {
                (group, Action::Post(message, PostCommand::Like { user }))
            }
            (42..50, Some((group, message))) => {
                (group, Action::Post(message, PostCommand::Unlike { user }))
            }
            (50..54, _) if !self.people.keys.is_empty() => return self.reuse_key(),
            _ => self.post(group, user),
        };
        let is_repeatable = !matches!(
            &action,
            Action::Post(_, PostCommand::Post { key: None, .. })
        );
        self.request(at, group, action, is_repeatable);
    }

    fn post(&mut self, group: GroupName, author: User) -> (GroupName, Action) {
        let number = self.rng.next();
        let text = format!("text {number:x}");
        let key = self.rng.permille(800).then(|| format!("key {number:x}"));
        let id = match &key {
            Some(key) => MessageId::of_key(&author.id, &group, key, &text),
            None => MessageId::of_random(u128::from(number).to_be_bytes()),
        };
        let post = PostCommand::Post {
            author,
            text: MessageText::parse(&text, 100).expect("a short text"),
            sent_at_ms: None,
            key: key.map(|key| IdempotencyKey::parse(&key).expect("a short key")),
        };
        (group, Action::Post(id, post))
    }

    /// A client reuses an idempotency key for another text.
    fn reuse_key(&mut self) {
        let index = self.rng.index(self.people.keys.len());
        let (author, group, key, at) = self.people.keys[index].clone();
        let text = "another text";
        let id = MessageId::of_key(&author.id, &group, &key, text);
        let post = PostCommand::Post {
            author,
            text: MessageText::parse(text, 100).expect("a short text"),
            sent_at_ms: None,
            key: Some(IdempotencyKey::parse(&key).expect("the key was valid before")),
        };
        self.request(at, group, Action::Post(id, post), false);
    }

    fn request(&mut self, at: usize, group: GroupName, action: Action, is_repeatable: bool) {
        self.counter += 1;
        let request = self.counter;
        // Some requests reach the clone of a replica.
        let at = match self.cloned {
            Some(victim) if victim == at && self.rng.permille(500) => self.size,
            _ => at,
        };
        let above = self.rng.permille(300).then(|| {
            let heads = self.replicas[..self.size].iter();
            let processes = heads.filter_map(|replica| replica.process.as_ref());
            processes.map(|process| process.writer.head().highest).max()
        });
        let command = Command {
            group,
            action,
            above: above.flatten(),
        };
        let wanted = Request {
            command,
            is_repeatable,
            at,
            tries: 0,
            again_ms: 0,
        };
        self.people.requests.insert(request, wanted);
        self.plan(1, Happening::Ask(request));
    }

    pub(super) fn ask(&mut self, id: u64) {
        let now_ms = self.now_ms;
        let Some(request) = self.people.requests.get_mut(&id) else {
            return;
        };
        if now_ms < request.again_ms {
            return;
        }
        if request.tries >= TRIES || (request.tries > 0 && !request.is_repeatable) {
            self.people.requests.remove(&id);
            return;
        }
        if request.tries > 0 {
            let former = request.at;
            request.at = self.rng.index(self.size);
            let is_elsewhere = request.at != former;
            if is_elsewhere
                && matches!(
                    request.command.action,
                    Action::Post(_, PostCommand::Post { .. })
                )
            {
                self.hits.hit(Hit::RetriedElsewhere);
            }
        }
        request.tries += 1;
        request.again_ms = now_ms + TIMEOUT_MS;
        let (at, command) = (request.at, request.command.clone());
        self.plan(TIMEOUT_MS, Happening::Ask(id));
        let replica = &self.replicas[at];
        if replica.is_serving() && replica.paused_until_ms <= now_ms {
            self.hand_over(at, Task::Submit(Box::new(command)), Asker::Client(id));
        } else {
            self.fail_client(id);
        }
    }

    /// The request has an unknown outcome; the client retries at another replica.
    pub(super) fn fail_client(&mut self, id: u64) {
        let in_ms = self.rng.between(50, 600);
        if let Some(request) = self.people.requests.get_mut(&id) {
            request.again_ms = self.now_ms + in_ms;
            self.plan(in_ms, Happening::Ask(id));
        }
    }

    pub(super) fn answer_client(
        &mut self,
        at: usize,
        id: u64,
        answer: Result<Option<RawEvent>, Refusal>,
    ) {
        let Some(request) = self.people.requests.get(&id) else {
            return;
        };
        let command = request.command.clone();
        match answer {
            Ok(Some(event)) => self.answered(at, &command, &event),
            Ok(None) => self.repeated(at, &command),
            Err(Refusal::KeyReused) => {
                self.hit(Hit::KeyReused);
            }
            Err(_) => {}
        }
        // Some answers are lost.
        if self.rng.permille(100) {
            self.fail_client(id);
        } else {
            self.people.requests.remove(&id);
        }
    }

    fn answered(&mut self, at: usize, command: &Command, event: &RawEvent) {
        let stamp = &event.envelope.stamp;
        let dot = stamp.dot();
        let is_destroyed = self.ledger.destroyed.contains(&(dot, event.hash));
        // The disk may have been replaced since; then a peer holds it, or the only copy is
        // destroyed.
        let is_somewhere = self
            .replicas
            .iter()
            .any(|it| it.disk.holds(dot, event.hash));
        if !is_destroyed && !is_somewhere {
            return self.violate(|| format!("{} acknowledges {dot} uncommitted", at + 1));
        }
        if command.above.is_some_and(|above| stamp.hlc <= above) {
            self.violate(|| format!("{dot} sorts below an event that its author had seen"));
        }
        self.ledger.answer(event);
        if let Action::Post(id, PostCommand::Post { author, key, .. }) = &command.action {
            let group = command.group.clone();
            self.people.known.push((group.clone(), id.clone()));
            if let Some(key) = key {
                let key = key.as_str().to_owned();
                self.people.keys.push((author.clone(), group, key, at));
            }
        }
    }

    fn repeated(&mut self, at: usize, command: &Command) {
        let Action::Post(
            id,
            PostCommand::Post {
                author,
                key: Some(key),
                ..
            },
        ) = &command.action
        else {
            return self.violate(|| "only a post with a key is a repeat".into());
        };
        self.hit(Hit::Repeat);
        let digest = key_digest(&author.id, key.as_str());
        let known = self.replicas[at].disk.sent_under(&digest);
        if !known.is_some_and(|known| known.contains(&id.0)) && !self.swarm.loses_state() {
            return self.violate(|| format!("{} answers a repeat of {id}, not committed", at + 1));
        }
        self.ledger.messages.insert(id.0.clone());
    }

    /// Writes an event that some or all replicas cannot interpret or store.
    fn write_poison(&mut self) {
        let at = self.rng.index(self.size);
        if !self.replicas[at].is_serving() || self.replicas[at].paused_until_ms > self.now_ms {
            return;
        }
        let refused = self.replicas.iter().find_map(|r| r.refuses.clone());
        let fresh = format!("poison{:x}", self.rng.next());
        let (hit, id, kind, event) = match self.rng.below(3) {
            0 => (Hit::UnknownType, fresh, "MessageCarved", r#"{"depth":3}"#),
            1 => (Hit::Unreadable, fresh, "MessagePosted", r#"{"author":7}"#),
            _ => {
                let readable = r#"{"author":{"id":"u","name":"u"},"text":"odd"}"#;
                let id = refused.unwrap_or(fresh);
                (Hit::UnknownType, id, "MessagePosted", readable)
            }
        };
        self.hit(hit);
        let raw = serde_json::value::RawValue::from_string(event.to_owned());
        let stamp = Stamp {
            origin: Origin {
                replica: self.replicas[at].id,
                epoch: Epoch(0),
            },
            seq: 1,
            hlc: Hlc::default(),
            past: VersionVector::default(),
        };
        let envelope = Envelope {
            stamp,
            level: LEVEL,
            aggregate: "post".into(),
            id,
            group: Some(self.people.groups[0].as_str().to_owned()),
            kind: kind.into(),
            at: 0,
            event: std::sync::Arc::from(raw.expect("it is JSON")),
        };
        self.hand_over(at, Task::Restamp(vec![envelope]), Asker::Nobody);
    }
}
