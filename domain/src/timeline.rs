//! The read model's fold: what events, in any causal order of arrival, change in the history that
//! people see. Pure; reading the former state and writing the new one is left to `timelines`.

use std::collections::{BTreeMap, BTreeSet};

use crate::aggregate::Event;
use crate::envelope::{Envelope, RawEvent};
use crate::group::GroupEvent;
use crate::names::{GroupName, User};
use crate::post::PostEvent;
use crate::stamp::OrderKey;
use crate::version_vector::VersionVector;

/// A message, as history keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Which.
    pub id: String,
    /// In which group.
    pub group: GroupName,
    /// Its place in the one order.
    pub position: OrderKey,
    /// Who wrote it.
    pub author: User,
    /// What.
    pub text: String,
    /// The client's time, milliseconds since 1970.
    pub sent_at_ms: Option<i64>,
    /// The origin's time, milliseconds since 1970.
    pub received_at_ms: i64,
    /// What the origin held with this message.
    pub vector: VersionVector,
    /// How many users like it.
    pub likes_count: i64,
}

/// Where a user stands towards a group or message: in or out, since which event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The name the user had then.
    pub user_name: String,
    /// The event that decided it.
    pub since: OrderKey,
    /// Member, or liked.
    pub is_in: bool,
}

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

/// An event, taken apart as far as the fold needs it.
#[derive(Clone, Debug)]
pub struct Fact {
    arrival: i64,
    group: GroupName,
    position: OrderKey,
    level: u32,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Posted(Box<Message>),
    Liked {
        message: String,
        user: User,
        is_in: bool,
    },
    Joined {
        user: User,
        is_in: bool,
    },
}

/// Why an event cannot be folded: it is set aside, and the log goes on (F27).
#[derive(Debug, thiserror::Error)]
pub enum Unfoldable {
    /// Its content is not what its type says.
    #[error("content is not of its type: {0}")]
    Content(#[from] serde_json::Error),
    /// It names no group, or one whose name is not a name.
    #[error("it names no group")]
    Group,
    /// It holds a character that no table can hold.
    #[error("it holds a NUL character")]
    Nul,
}

impl Fact {
    /// Reads what an event says; nothing where this version does not know its type.
    pub fn read(arrival: i64, event: &RawEvent) -> Result<Option<Self>, Unfoldable> {
        let envelope = &event.envelope;
        let what = match envelope.aggregate.as_str() {
            "group" => read_group(envelope)?,
            "post" => read_post(envelope)?,
            _ => None,
        };
        let Some(what) = what else { return Ok(None) };
        Ok(Some(Self {
            arrival,
            group: group_of(envelope)?,
            position: envelope.stamp.order_key(),
            level: envelope.level,
            what,
        }))
    }
}

impl Fact {
    /// The message, where this is about a new one.
    pub fn into_message(self) -> Option<Message> {
        match self.what {
            What::Posted(message) => Some(*message),
            What::Liked { .. } | What::Joined { .. } => None,
        }
    }
}

fn group_of(envelope: &Envelope) -> Result<GroupName, Unfoldable> {
    let name = envelope.group.as_deref().ok_or(Unfoldable::Group)?;
    GroupName::parse(name).map_err(|_| Unfoldable::Group)
}

fn read_group(envelope: &Envelope) -> Result<Option<What>, Unfoldable> {
    let (user, is_in) = match GroupEvent::read(&envelope.kind, envelope.event.get())? {
        GroupEvent::MemberJoined { user } => (user, true),
        GroupEvent::MemberLeft { user } => (user, false),
        GroupEvent::Unknown => return Ok(None),
    };
    refuse_nul(&[&user.id.0, &user.name])?;
    Ok(Some(What::Joined { user, is_in }))
}

fn read_post(envelope: &Envelope) -> Result<Option<What>, Unfoldable> {
    let id = envelope.id.clone();
    let (user, is_in) = match PostEvent::read(&envelope.kind, envelope.event.get())? {
        PostEvent::MessagePosted {
            author,
            text,
            sent_at,
            ..
        } => {
            refuse_nul(&[&id, &author.id.0, &author.name, &text])?;
            return Ok(Some(What::Posted(Box::new(Message {
                id,
                group: group_of(envelope)?,
                position: envelope.stamp.order_key(),
                author,
                text,
                sent_at_ms: sent_at,
                received_at_ms: envelope.at,
                vector: envelope.stamp.vector(),
                likes_count: 0,
            }))));
        }
        PostEvent::MessageLiked { user } => (user, true),
        PostEvent::MessageUnliked { user } => (user, false),
        PostEvent::Unknown => return Ok(None),
    };
    refuse_nul(&[&id, &user.id.0, &user.name])?;
    Ok(Some(What::Liked {
        message: id,
        user,
        is_in,
    }))
}

fn refuse_nul(texts: &[&str]) -> Result<(), Unfoldable> {
    if texts.iter().any(|text| text.contains('\0')) {
        return Err(Unfoldable::Nul);
    }
    Ok(())
}

/// Which former rows a step must know.
#[derive(Debug, Default)]
pub struct Needs {
    /// Ids of messages.
    pub messages: BTreeSet<String>,
    /// (message, user).
    pub likes: BTreeSet<(String, String)>,
    /// (group, user).
    pub members: BTreeSet<(String, String)>,
}

impl Needs {
    /// Collects what some facts touch.
    pub fn of(facts: &[Fact]) -> Self {
        let mut needs = Self::default();
        for fact in facts {
            match &fact.what {
                What::Posted(message) => {
                    needs.messages.insert(message.id.clone());
                }
                What::Liked { message, user, .. } => {
                    needs.messages.insert(message.clone());
                    needs.likes.insert((message.clone(), user.id.0.clone()));
                }
                What::Joined { user, .. } => {
                    needs
                        .members
                        .insert((fact.group.as_str().to_owned(), user.id.0.clone()));
                }
            }
        }
        needs
    }
}

/// What is known of a message before a step.
#[derive(Clone, Debug)]
pub struct Former {
    /// Its place.
    pub position: OrderKey,
    /// Its likes.
    pub likes_count: i64,
}

/// The rows a step touches: the former ones are put in, the facts folded, the changed ones taken
/// out.
#[derive(Debug, Default)]
pub struct Step {
    /// Messages known before, by id.
    pub former: BTreeMap<String, Former>,
    /// Messages that are new or have moved.
    pub messages: BTreeMap<String, Message>,
    /// Messages known before whose number of likes changed.
    pub likes_counts: BTreeMap<String, i64>,
    /// (message, user) → standing. Former ones are put in.
    pub likes: BTreeMap<(String, String), Standing>,
    /// (group, user) → standing. Former ones are put in.
    pub members: BTreeMap<(String, String), Standing>,
    /// Which of the standings have changed.
    pub changed_likes: BTreeSet<(String, String)>,
    /// Which of the standings have changed.
    pub changed_members: BTreeSet<(String, String)>,
    /// By how much each group grew or shrank; 0 for a group that merely exists now.
    pub growth: BTreeMap<GroupName, i64>,
    /// One entry for each fact.
    pub feed: Vec<FeedEntry>,
    /// (subject, place) of entries against which an event lost.
    pub contested: BTreeSet<(String, OrderKey)>,
    /// Messages of which there is more than one copy now.
    pub copied: BTreeSet<String>,
}

impl Step {
    /// Folds one fact in.
    pub fn fold(&mut self, fact: Fact) {
        let Fact {
            arrival,
            group,
            position,
            level,
            what,
        } = fact;
        let (kind, subject, user, effect) = match what {
            What::Posted(message) => {
                let (id, author) = (message.id.clone(), message.author.clone());
                let (kind, effect) = self.fold_message(*message);
                (kind, id, author, effect)
            }
            What::Liked {
                message,
                user,
                is_in,
            } => {
                let effect = self.fold_like(&message, &user, position, is_in);
                let kind = if is_in { Kind::Like } else { Kind::Unlike };
                (kind, message, user, effect)
            }
            What::Joined { user, is_in } => {
                let effect = self.fold_member(&group, &user, position, is_in);
                let kind = if is_in { Kind::Join } else { Kind::Leave };
                (kind, user.id.0.clone(), user, effect)
            }
        };
        self.feed.push(FeedEntry {
            arrival,
            group,
            kind,
            subject,
            user,
            position,
            level,
            effect,
        });
    }

    /// Of the copies of a message the one with the lowest key is the message.
    fn fold_message(&mut self, mut message: Message) -> (Kind, Effect) {
        let known = match (self.messages.get(&message.id), self.former.get(&message.id)) {
            (Some(known), _) => Some((known.position, known.likes_count)),
            (None, Some(known)) => {
                let likes = self.likes_counts.get(&message.id);
                Some((known.position, *likes.unwrap_or(&known.likes_count)))
            }
            (None, None) => None,
        };
        let Some((position, likes_count)) = known else {
            self.messages.insert(message.id.clone(), message);
            return (Kind::Message, Effect::Shown);
        };
        self.copied.insert(message.id.clone());
        if message.position >= position {
            return (Kind::Message, Effect::Lost);
        }
        message.likes_count = likes_count;
        self.messages.insert(message.id.clone(), message);
        (Kind::Moved, Effect::Shown)
    }

    fn fold_like(&mut self, id: &str, user: &User, since: OrderKey, is_in: bool) -> Effect {
        let key = (id.to_owned(), user.id.0.clone());
        let outcome = stand(&mut self.likes, &key, user, since, is_in);
        match outcome {
            Outcome::Lost { against } => {
                self.contested.insert((id.to_owned(), against));
                return Effect::Lost;
            }
            Outcome::Won { changed: false } => {}
            Outcome::Won { changed: true } => self.count_like(id, if is_in { 1 } else { -1 }),
        }
        self.changed_likes.insert(key);
        effect_of(matches!(outcome, Outcome::Won { changed: true }))
    }

    fn count_like(&mut self, id: &str, by: i64) {
        if let Some(message) = self.messages.get_mut(id) {
            message.likes_count += by;
        } else if let Some(known) = self.former.get(id) {
            *self
                .likes_counts
                .entry(id.to_owned())
                .or_insert(known.likes_count) += by;
        }
    }

    fn fold_member(
        &mut self,
        group: &GroupName,
        user: &User,
        since: OrderKey,
        is_in: bool,
    ) -> Effect {
        let key = (group.as_str().to_owned(), user.id.0.clone());
        let outcome = stand(&mut self.members, &key, user, since, is_in);
        // A group exists from its first join, also one that lost against a later leave.
        if is_in {
            self.growth.entry(group.clone()).or_default();
        }
        match outcome {
            Outcome::Lost { against } => {
                self.contested.insert((user.id.0.clone(), against));
                return Effect::Lost;
            }
            Outcome::Won { changed: false } => {}
            Outcome::Won { changed: true } => {
                *self.growth.entry(group.clone()).or_default() += if is_in { 1 } else { -1 };
            }
        }
        self.changed_members.insert(key);
        effect_of(matches!(outcome, Outcome::Won { changed: true }))
    }
}

#[derive(Clone, Copy)]
enum Outcome {
    Lost { against: OrderKey },
    Won { changed: bool },
}

/// For each user the event with the highest key wins.
fn stand(
    standings: &mut BTreeMap<(String, String), Standing>,
    key: &(String, String),
    user: &User,
    since: OrderKey,
    is_in: bool,
) -> Outcome {
    let former = standings.get(key);
    if let Some(former) = former
        && former.since > since
    {
        return Outcome::Lost {
            against: former.since,
        };
    }
    let was_in = former.is_some_and(|former| former.is_in);
    standings.insert(
        key.clone(),
        Standing {
            user_name: user.name.clone(),
            since,
            is_in,
        },
    );
    Outcome::Won {
        changed: was_in != is_in,
    }
}

fn effect_of(changed: bool) -> Effect {
    if changed { Effect::Shown } else { Effect::Won }
}
