//! A machine, with a database and a file under the control of a test.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use super::*;
use crate::envelope::RawEvent;
use crate::names::{GroupName, MessageId, User, UserId};
use crate::post::PostCommand;
use crate::text::{IdempotencyKey, MessageText};
use crate::writing::{Action, Command, Found, Record, Row, Server, Task};

const WALL_MS: u64 = 1_000_000;
const PACING: Pacing = Pacing {
    backlog_events: 1,
    shared_for: Duration::ZERO,
    quantum: 2,
};

pub struct Rig {
    pub machine: Machine<String>,
    pub now_ms: u64,
    pub readings: u32,
    /// The stored head.
    database: Head,
    row: Row,
    insertion: Option<Insertion>,
    /// The effects since the last call of [`Rig::trace`].
    trace: Vec<String>,
}

impl Rig {
    /// A replica that wrote once, some time ago.
    pub fn begun() -> Self {
        let own = events::origin(1, 7);
        let database = Head {
            origin: own,
            vector: [].into_iter().collect(),
            hashes: BTreeMap::new(),
            closed_ts: Hlc::default(),
            highest: Hlc::default(),
            offset: 0,
        };
        let row = Row {
            origin: own,
            reserved: Hlc::default(),
            system_identifier: "1".to_owned(),
            timeline: "1".to_owned(),
        };
        let file = Record {
            origin: own,
            seq_seen: 0,
            hlc: Hlc::default(),
            system_identifier: "1".to_owned(),
            timeline: "1".to_owned(),
        };
        let found = Found {
            row: Some(row.clone()),
            file: Some(file),
            server: server("1"),
            head: database.clone(),
        };
        let (mut writing, _) = Writing::begin(own.replica, found, WALL_MS, 9);
        writing.recorded(writing.record(writing.reserved()));
        let mut rig = Self {
            machine: Machine::new(moment(0), writing, PACING),
            now_ms: 0,
            readings: 0,
            database,
            row,
            insertion: None,
            trace: Vec::new(),
        };
        rig.step(Input::Woken);
        rig.write_once();
        rig
    }

    fn write_once(&mut self) {
        let insertion = self.start_insertion(["before"]);
        self.insertion_ends(insertion, Ok(true));
        self.file_ends(true);
        self.wait(100);
        self.trace();
    }

    /// Accepts posts and returns their insertion.
    pub fn start_insertion<const N: usize>(&mut self, ids: [&str; N]) -> Insertion {
        self.accept_posts(ids);
        self.trace();
        self.take_insertion()
    }

    pub fn accept_posts<const N: usize>(&mut self, ids: [&str; N]) {
        for id in ids {
            self.accept(id, post(id, None), 0);
        }
        self.wake();
    }

    pub fn accept_posts_of<const N: usize>(&mut self, user: &str, ids: [&str; N]) {
        for id in ids {
            self.accept(id, post_of(user, id, None), 0);
        }
        self.wake();
    }

    pub fn accept_keyed_post(&mut self, id: &str) {
        self.accept(id, post(id, IdempotencyKey::parse("key").ok()), 0);
        self.wake();
    }

    pub fn accept_events(&mut self, reply: &str, events: &[RawEvent]) {
        let task = Task::Absorb {
            events: events.to_vec(),
            forked: BTreeSet::new(),
        };
        self.accept(reply, task, events.len());
        self.wake();
    }

    pub fn accept_renewal(&mut self, former: Origin, reply: &str) {
        self.machine.accept(Work::Renew(Renewal {
            former,
            fresh_epoch: 20,
            reply: reply.to_owned(),
        }));
        self.wake();
    }

    fn accept(&mut self, reply: &str, task: Task, sent_at_once: usize) {
        self.machine.accept(Work::Write {
            task,
            reply: reply.to_owned(),
            sent_at_once,
        });
    }

    pub fn wake(&mut self) {
        self.step(Input::Woken);
    }

    pub fn close(&mut self) {
        self.step(Input::Closed);
    }

    /// Advances the time.
    pub fn wait(&mut self, ms: u64) {
        let until_ms = self.now_ms + ms;
        let due_ms = |machine: &Machine<String>| {
            let at = machine.next_wake()?;
            Some(u64::try_from(at.as_millis()).unwrap())
        };
        while let Some(at_ms) = due_ms(&self.machine).filter(|at_ms| *at_ms <= until_ms) {
            self.now_ms = at_ms.max(self.now_ms);
            self.wake();
        }
        self.now_ms = until_ms;
    }

    pub fn take_insertion(&mut self) -> Insertion {
        self.insertion.take().expect("an insertion is in flight")
    }

    /// Stores the rows in the database, without an answer.
    pub fn is_stored(&mut self, insertion: &Insertion) {
        for row in &insertion.rows {
            let stamp = &row.event.envelope.stamp;
            self.database.vector.record(stamp.dot());
            self.database.hashes.insert(stamp.origin, row.event.hash);
            self.database.highest = self.database.highest.max(stamp.hlc);
            self.database.offset = row.offset;
        }
    }

    pub fn insertion_ends(
        &mut self,
        insertion: Insertion,
        outcome: Result<bool, StatementFailure>,
    ) {
        if outcome == Ok(true) {
            self.is_stored(&insertion);
        }
        self.step(Input::Inserted(insertion, outcome));
    }

    pub fn session_comes(&mut self) {
        self.session_on("1");
    }

    pub fn other_database_comes(&mut self) {
        self.session_on("2");
    }

    fn session_on(&mut self, system_identifier: &str) {
        let session = Session {
            server: server(system_identifier),
            row: Some(self.row.clone()),
            head: self.database.clone(),
        };
        self.step(Input::Connected(Some(session)));
    }

    pub fn no_session_comes(&mut self) {
        self.step(Input::Connected(None));
    }

    pub fn file_ends(&mut self, is_written: bool) {
        self.step(Input::Recorded(is_written));
    }

    pub fn reservation_ends(&mut self, outcome: Result<(), StatementFailure>) {
        self.step(Input::Reserved(outcome));
    }

    pub fn identity_is_stored(&mut self) -> Origin {
        self.step(Input::IdentityStored(Ok(())));
        self.row.origin
    }

    /// The effects since the last call.
    pub fn trace(&mut self) -> String {
        mem::take(&mut self.trace).join(", ")
    }

    /// The answers among the effects.
    pub fn answers(&mut self) -> String {
        let is_answer = |entry: &mut String| entry.contains(": ") && !entry.starts_with("file");
        let answers = self.trace.extract_if(.., is_answer);
        answers.collect::<Vec<_>>().join(", ")
    }

    fn step(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.machine.step(moment(self.now_ms), input, &mut effects);
        for effect in effects {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect<String>) {
        let entry = match effect {
            Effect::Run(Statement::Connect { .. }) => "connect".to_owned(),
            Effect::Run(Statement::Reserve { .. }) => "reserve".to_owned(),
            Effect::Run(Statement::Insert(insertion)) => {
                let entry = format!("insert {}", insertion.rows.len());
                self.insertion = Some(insertion);
                entry
            }
            Effect::Run(Statement::StoreIdentity(row)) => {
                self.row = row;
                "identity".to_owned()
            }
            Effect::Run(Statement::Read(needs)) => {
                self.readings += 1;
                let members = needs.members.iter();
                let members =
                    members.map(|(group, user)| (group.clone(), events::join(group, user)));
                let found = Facts {
                    members: members.collect(),
                    ..Facts::default()
                };
                return self.step(Input::Read(needs, Ok(found)));
            }
            Effect::Record(_) => "file".to_owned(),
            Effect::Answer { reply, verdict, .. } => format!("{reply}: {}", summary(verdict)),
            Effect::Fail { reply, why } => format!("{reply}: {why:?}"),
            Effect::FileIsStuck(is_stuck) => format!("file is stuck: {is_stuck}"),
            Effect::DatabaseReplaced(_) => "not ours".to_owned(),
            Effect::End => "end".to_owned(),
            Effect::Committed(_) | Effect::Publish(_) => return,
        };
        self.trace.push(entry);
    }
}

fn summary(verdict: Verdict) -> String {
    match verdict {
        Verdict::Submitted(Ok(Some(_))) => "written".to_owned(),
        Verdict::Submitted(other) => format!("{other:?}"),
        Verdict::Absorbed(absorbed) if absorbed.missing.is_empty() => {
            format!("{} stored", absorbed.stored)
        }
        Verdict::Absorbed(absorbed) => format!("misses {}", absorbed.missing.len()),
        Verdict::Renewed(origin) => origin.to_string(),
        other => format!("{other:?}"),
    }
}

fn post(id: &str, key: Option<IdempotencyKey>) -> Task {
    post_of("ann", id, key)
}

fn post_of(user: &str, id: &str, key: Option<IdempotencyKey>) -> Task {
    let author = User {
        id: UserId(user.to_owned()),
        name: user.to_owned(),
    };
    Task::Submit(Box::new(Command {
        group: GroupName::parse("lobby").unwrap(),
        action: Action::Post(
            MessageId(id.to_owned()),
            PostCommand::Post {
                author,
                text: MessageText::parse("hello", 100).unwrap(),
                sent_at_ms: None,
                key,
            },
        ),
        above: None,
    }))
}

fn server(system_identifier: &str) -> Server {
    Server {
        system_identifier: system_identifier.to_owned(),
        timeline: "1".to_owned(),
    }
}

fn moment(now_ms: u64) -> Now {
    Now {
        since_start: Duration::from_millis(now_ms),
        time: (WALL_MS + now_ms).into(),
    }
}
