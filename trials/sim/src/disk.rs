//! The durable state of a replica: the rows, the identity row, the file beside the database, the
//! read model. Each write is atomic and durable by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use causeway_domain::chain::Hash;
use causeway_domain::envelope::{Envelope, RawEvent};
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Dot, Origin};
use causeway_domain::rescue::Parting;
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::{Facts, Found, Head, Needs, NewRow, Record, Row, Server};

use crate::table::Table;

/// One atomic write.
#[derive(Clone, Debug)]
pub(crate) enum Durable {
    /// A batch of events.
    Rows(Vec<NewRow>),
    /// The identity row.
    Identity(Row),
    /// The reservation in the identity row.
    Reservation(Hlc),
    /// The file beside the database.
    File(Record),
}

/// One replica's disk.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub rows: Vec<Rc<NewRow>>,
    pub identity: Option<Row>,
    pub file: Option<Record>,
    pub server: Server,
    pub table: Table,
    /// Whether appends must be causal. Runs that can fork an origin are exempt.
    pub is_causal: bool,
    by_origin: BTreeMap<Origin, Vec<usize>>,
    by_aggregate: BTreeMap<(String, String), Vec<usize>>,
    by_key: BTreeMap<[u8; 16], BTreeSet<String>>,
    by_member: BTreeMap<(String, String), Vec<usize>>,
    first_join: BTreeMap<String, usize>,
}

impl Disk {
    /// A disk with an empty database.
    pub fn empty(server: u64) -> Self {
        Self {
            rows: Vec::new(),
            identity: None,
            file: None,
            server: Server {
                system_identifier: server.to_string(),
                timeline: "00000001".into(),
            },
            table: Table::default(),
            is_causal: true,
            by_origin: BTreeMap::new(),
            by_aggregate: BTreeMap::new(),
            by_key: BTreeMap::new(),
            by_member: BTreeMap::new(),
            first_join: BTreeMap::new(),
        }
    }

    /// Makes a write durable, or reports the constraint of the schema or log that it violates.
    pub fn apply(&mut self, step: Durable) -> Result<(), String> {
        match step {
            Durable::Rows(rows) => return rows.into_iter().try_for_each(|row| self.append(row)),
            Durable::Identity(row) => self.identity = Some(row),
            Durable::Reservation(reserved) => {
                if let Some(row) = &mut self.identity {
                    row.reserved = reserved;
                }
            }
            Durable::File(record) => self.file = Some(record),
        }
        Ok(())
    }

    /// Removes the events beyond a parting, renumbers the rest, and returns the removed events. The
    /// read model must be rebuilt afterwards.
    pub fn sever(&mut self, parting: &Parting) -> Vec<RawEvent> {
        let mut left = Self {
            identity: self.identity.take(),
            file: self.file.take(),
            server: self.server.clone(),
            is_causal: self.is_causal,
            ..Self::empty(0)
        };
        let mut taken = Vec::new();
        for row in std::mem::take(&mut self.rows) {
            let envelope = &row.event.envelope;
            if parting.takes(&envelope.stamp) {
                taken.push(row.event.clone());
                continue;
            }
            let before = left.places(&envelope.aggregate, &envelope.id).len();
            let row = NewRow {
                offset: 1 + i64::try_from(left.rows.len()).expect("runs are short"),
                sequence: 1 + i64::try_from(before).expect("runs are short"),
                ..(*row).clone()
            };
            left.append(row)
                .expect("events that depend on removed ones are removed too");
        }
        *self = left;
        taken
    }

    fn append(&mut self, row: NewRow) -> Result<(), String> {
        let envelope = &row.event.envelope;
        let (stamp, dot) = (&envelope.stamp, envelope.stamp.dot());
        let place = self.rows.len();
        let of_aggregate = (envelope.aggregate.clone(), envelope.id.clone());
        let sequence = 1 + self.by_aggregate.get(&of_aggregate).map_or(0, Vec::len);
        let held = self.seq(dot.origin);
        if usize::try_from(row.offset) != Ok(place + 1) {
            return Err(format!(
                "{dot} has arrival {}, not {}",
                row.offset,
                place + 1
            ));
        }
        if dot.seq != held + 1 {
            return Err(format!("{dot} is stored after seq {held} of its origin"));
        }
        if usize::try_from(row.sequence) != Ok(sequence) {
            return Err(format!(
                "{dot} has sequence {}, not {sequence}",
                row.sequence
            ));
        }
        let missing = |&(origin, seq): &(Origin, u64)| self.is_causal && self.seq(origin) < seq;
        if let Some((origin, seq)) = stamp.past.iter().find(missing) {
            return Err(format!("{dot} is stored before {origin}:{seq} of its past"));
        }
        if self
            .hash_at(dot.origin, held)
            .then(row.event.bytes.as_bytes())
            != row.event.hash
        {
            return Err(format!("{dot} breaks the chain of its origin"));
        }
        self.by_origin.entry(dot.origin).or_default().push(place);
        let places = self.by_aggregate.entry(of_aggregate).or_default();
        places.push(place);
        if let Some(digest) = row.key_digest {
            let known = self.by_key.entry(digest).or_default();
            known.insert(envelope.id.clone());
        }
        if let Some(user) = &row.member {
            let member = (envelope.id.clone(), user.clone());
            self.by_member.entry(member).or_default().push(place);
            if envelope.aggregate == "group" && envelope.kind == "MemberJoined" {
                self.first_join.entry(envelope.id.clone()).or_insert(place);
            }
        }
        self.rows.push(Rc::new(row));
        Ok(())
    }

    /// The durable state as a starting process reads it.
    pub fn found(&self, nobody: Origin) -> Found {
        Found {
            row: self.identity.clone(),
            file: self.file.clone(),
            server: self.server.clone(),
            head: self.head(nobody),
        }
    }

    /// The head of the log, computed from the rows.
    pub fn head(&self, origin: Origin) -> Head {
        let last = |(&origin, places): (&Origin, &Vec<usize>)| {
            let event = &self.rows[*places.last()?].event;
            Some((
                origin,
                places.len() as u64,
                event.hash,
                event.envelope.stamp.hlc,
            ))
        };
        let last: Vec<_> = self.by_origin.iter().filter_map(last).collect();
        Head {
            origin,
            vector: last
                .iter()
                .map(|&(origin, seq, ..)| (origin, seq))
                .collect(),
            hashes: last
                .iter()
                .map(|&(origin, _, hash, _)| (origin, hash))
                .collect(),
            closed_ts: Hlc::default(),
            highest: last.iter().map(|&(.., hlc)| hlc).max().unwrap_or_default(),
            offset: self.rows.len().try_into().unwrap_or(i64::MAX),
        }
    }

    /// Looks up the facts that a batch needs.
    pub fn facts(&self, needs: &Needs) -> Facts {
        let mut facts = Facts::default();
        for member in &needs.members {
            let events = self.by_member.get(member).into_iter().flatten();
            let newest = events.max_by_key(|&&place| self.envelope(place).stamp.order_key());
            let join = self.first_join.get(&member.0);
            let deciding = newest.into_iter().chain(join);
            let deciding = deciding.map(|&place| (member.0.clone(), self.envelope(place).clone()));
            facts.members.extend(deciding);
        }
        for id in &needs.posts {
            for &place in self.places("post", id) {
                let row = &self.rows[place];
                let envelope = (*row.event.envelope).clone();
                facts.posts.push((id.clone(), row.sequence, envelope));
            }
        }
        for (aggregate, id) in &needs.sequences {
            if let Some(&place) = self.places(aggregate, id).last() {
                let sequence = self.rows[place].sequence;
                facts
                    .sequences
                    .push((aggregate.clone(), id.clone(), sequence));
            }
        }
        for digest in &needs.keys {
            let known = self.by_key.get(digest).into_iter().flatten();
            facts.keys.extend(known.map(|id| (*digest, id.clone())));
        }
        facts
    }

    /// Reads the events within `known` and beyond `held`, in the order of this log.
    pub fn read_beyond(
        &self,
        held: &VersionVector,
        known: &VersionVector,
        limit: usize,
    ) -> Vec<RawEvent> {
        let mut places = Vec::new();
        let index = |seq| usize::try_from(seq).unwrap_or(usize::MAX);
        for (&origin, of_origin) in &self.by_origin {
            let known = index(known.get(origin)).min(of_origin.len());
            let missing = of_origin.get(index(held.get(origin))..known);
            places.extend(missing.into_iter().flatten().take(limit));
        }
        places.sort_unstable();
        places.truncate(limit);
        let rows = places.into_iter().map(|place: usize| &self.rows[place]);
        rows.map(|row| row.event.clone()).collect()
    }

    /// The chain hash at one event; the start of the chain if the event is not held.
    pub fn hash_at(&self, origin: Origin, seq: u64) -> Hash {
        self.event(Dot { origin, seq })
            .map_or(Hash::START, |event| event.hash)
    }

    /// The event at a dot.
    pub fn event(&self, dot: Dot) -> Option<&RawEvent> {
        let index = usize::try_from(dot.seq.checked_sub(1)?).ok()?;
        let place = *self.by_origin.get(&dot.origin)?.get(index)?;
        Some(&self.rows[place].event)
    }

    /// Whether this event is held, with this content.
    pub fn holds(&self, dot: Dot, hash: Hash) -> bool {
        self.event(dot).is_some_and(|event| event.hash == hash)
    }

    /// The messages that were posted with a key.
    pub fn sent_under(&self, digest: &[u8; 16]) -> Option<&BTreeSet<String>> {
        self.by_key.get(digest)
    }

    fn places(&self, aggregate: &str, id: &str) -> &[usize] {
        let key = (aggregate.to_owned(), id.to_owned());
        self.by_aggregate.get(&key).map_or(&[], Vec::as_slice)
    }

    fn envelope(&self, place: usize) -> &Envelope {
        &self.rows[place].event.envelope
    }

    /// The highest seq held of an origin; 0 if none.
    pub fn seq(&self, origin: Origin) -> u64 {
        self.by_origin.get(&origin).map_or(0, |of| of.len() as u64)
    }
}
