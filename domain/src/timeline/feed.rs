//! What the streams of a group are made of, and what a reader who comes from another replica must
//! still be told.
//!
//! Replicas hear of the same events in other orders, so a reader was perhaps shown elsewhere what
//! decides here against an event that this replica showed before. Whoever resumes is told what
//! changes something **for them**, and ends with what everybody sees.

use crate::names::{GroupName, User};
use crate::stamp::OrderKey;
use crate::version_vector::VersionVector;

/// What an event was about, for those who read a group's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message.
    Message,
    /// An earlier copy of a message that was known already.
    Moved,
    /// A like.
    Like,
    /// A like taken back.
    Unlike,
    /// A user joined.
    Join,
    /// A user left.
    Leave,
}

impl Kind {
    /// The name of the frame.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Moved => "moved",
            Self::Like => "like",
            Self::Unlike => "unlike",
            Self::Join => "join",
            Self::Leave => "leave",
        }
    }

    /// Tells whether it is a copy of a message, not a user's standing.
    pub fn is_copy(self) -> bool {
        matches!(self, Self::Message | Self::Moved)
    }

    fn is_in(self) -> bool {
        matches!(self, Self::Like | Self::Join)
    }

    /// Reads the name of a frame.
    pub fn parse(name: &str) -> Option<Self> {
        [
            Self::Message,
            Self::Moved,
            Self::Like,
            Self::Unlike,
            Self::Join,
            Self::Leave,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == name)
    }
}

/// What an event did here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: a higher key had decided already, or a lower copy was known.
    Lost,
    /// It decides now, but nobody sees a difference.
    Won,
    /// People see it.
    Shown,
}

impl Effect {
    /// The name in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Won => "won",
            Self::Shown => "shown",
        }
    }
}

/// One event as the streams of its group see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedEntry {
    /// Its place in this replica's log.
    pub arrival: i64,
    /// Whose readers it concerns.
    pub group: GroupName,
    /// What it was about.
    pub kind: Kind,
    /// The message's id, or that of the user who joined or left.
    pub subject: String,
    /// Who did it.
    pub user: User,
    /// Its place in the one order, and with it its dot.
    pub position: OrderKey,
    /// The api level of its type.
    pub level: u32,
    /// What it did here.
    pub effect: Effect,
}

/// An entry of the feed, and whether what other replicas showed of it may differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What was written when it arrived.
    pub entry: FeedEntry,
    /// There are several copies of the message, or events about this user's standing that do not
    /// know of each other.
    pub is_contested: bool,
}

/// What a reader was given so far, here and elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Reached<'a> {
    /// All events that the reader was given or spared.
    pub given: &'a VersionVector,
    /// Those of them that were known where the reader was told last: whoever was told something
    /// by a replica that did not hold all that was given, may have been told what it overrules.
    pub weighed: &'a VersionVector,
    /// This replica does not hold all that was given.
    pub is_ahead: bool,
}

impl Reached<'_> {
    fn covers(&self, entry: &FeedEntry) -> bool {
        self.given.covers(entry.position.dot())
    }
}

impl Entry {
    /// Tells whether `told` must know the rivals of this entry.
    pub fn has_rivals(&self, reached: &Reached) -> bool {
        self.is_contested || self.may_be_told_again(reached)
    }

    /// Says as what a reader must be told of this entry, if at all. `rivals` holds all entries that
    /// compete with it, itself included: the copies of the message, or what is known of this user's
    /// standing; they are looked at only where [`Entry::has_rivals`].
    pub fn told(&self, rivals: &[Self], reached: &Reached) -> Option<Kind> {
        let rivals = rivals.iter().filter(|rival| self.competes_with(rival));
        if reached.covers(&self.entry) {
            return self.told_again(rivals, reached);
        }
        let given = rivals
            .map(|rival| &rival.entry)
            .filter(|rival| reached.covers(rival));
        if self.entry.kind.is_copy() {
            let lowest = given.map(|copy| copy.position).min();
            return self.told_as_copy(lowest);
        }
        let decides = given.max_by_key(|rival| rival.position);
        self.told_as_standing(decides, reached)
    }

    /// Whoever was told since by a replica that did not know this entry may have been told what it
    /// overrules: another standing, or the message at the place of a later copy.
    fn told_again<'a>(
        &self,
        mut rivals: impl Iterator<Item = &'a Self> + Clone,
        reached: &Reached,
    ) -> Option<Kind> {
        if !self.may_be_told_again(reached) {
            return None;
        }
        if !self.entry.kind.is_copy() {
            // Of all that was given only the highest decides.
            let decides = |rival: &Self| {
                rival.entry.position > self.entry.position && reached.covers(&rival.entry)
            };
            let is_again = rivals.clone().any(|rival| rival.is_contested) && !rivals.any(decides);
            return is_again.then_some(self.entry.kind);
        }
        if self.entry.effect == Effect::Lost {
            // Perhaps given as the message where the earlier copy was not known.
            let is_earlier = |rival: &Self| {
                rival.entry.position < self.entry.position && reached.covers(&rival.entry)
            };
            return rivals.any(is_earlier).then_some(Kind::Moved);
        }
        if self.entry.kind == Kind::Moved {
            let is_again = rivals.any(|rival| rival.is_contested);
            return is_again.then_some(Kind::Moved);
        }
        let is_later = |rival: &Self| {
            rival.entry.position > self.entry.position && reached.covers(&rival.entry)
        };
        rivals.any(is_later).then_some(Kind::Moved)
    }

    /// A reader is given the first copy, and told of each that sorts before those.
    fn told_as_copy(&self, lowest: Option<OrderKey>) -> Option<Kind> {
        match lowest {
            None => Some(Kind::Message),
            Some(lowest) if self.entry.position < lowest => Some(Kind::Moved),
            Some(_) => None,
        }
    }

    /// A reader is told what changes the standing that follows from all that was given; one who
    /// may have been told another standing since is told more than that: whoever was given what
    /// this replica does not know, or what some replica did not know that told things since.
    fn told_as_standing(&self, decides: Option<&FeedEntry>, reached: &Reached) -> Option<Kind> {
        let kind = self.entry.kind;
        let is_told = match decides {
            _ if self.entry.effect == Effect::Lost => false,
            Some(given) if self.is_contested => {
                let is_sure = !reached.is_ahead && reached.weighed.covers(given.position.dot());
                given.position < self.entry.position
                    && (!is_sure || given.kind.is_in() != kind.is_in())
            }
            _ => reached.is_ahead || self.entry.effect == Effect::Shown,
        };
        is_told.then_some(kind)
    }

    /// The reader was given this elsewhere, and since then told things by who did not know it.
    fn may_be_told_again(&self, reached: &Reached) -> bool {
        reached.covers(&self.entry)
            && !reached.weighed.covers(self.entry.position.dot())
            && (self.entry.effect != Effect::Lost || self.entry.kind.is_copy())
    }

    fn competes_with(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.entry, &other.entry);
        ours.subject == theirs.subject
            && ours.kind.is_copy() == theirs.kind.is_copy()
            && (ours.kind.is_copy()
                || (&ours.group, &ours.user.id) == (&theirs.group, &theirs.user.id))
    }
}
