//! Pure: the chat's user, group and messages, and what the numbers on the screen mean.
//!
//! Knows no terminal and no network: `chat` records what happened, and asks.

mod late;
mod numbers;
pub mod online;

use std::collections::{BTreeMap, VecDeque};

use causeway_client::{Message, View};

use self::late::Late;
use self::numbers::Numbers;
use self::online::Online;
use crate::address;

/// How many own messages are followed until every replica holds them.
const OWN_KEPT: usize = 256;

/// What the user has read and written, as opaque tokens of the server.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct CausalContext {
    /// The cursor of the current group: where its stream resumes, on any replica.
    pub cursor: Option<String>,
    /// The mark of the last write.
    pub mark: Option<String>,
}

impl CausalContext {
    /// What a post carries, so that it sorts after all its author has read and written.
    pub fn for_post(&self) -> Vec<String> {
        self.cursor.iter().chain(&self.mark).cloned().collect()
    }
}

/// An own message, until every replica holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OwnMessage {
    id: String,
    held_by: usize,
    reported: usize,
}

/// Everything that a chat remembers.
#[derive(Debug, Default)]
pub struct State {
    /// The user's name; kept when the server is lost.
    pub user: Option<String>,
    /// The cluster; kept when the server is lost.
    pub cluster: Option<String>,
    /// The current group; kept when the server is lost.
    pub group: Option<String>,
    /// The mark of the join of that group.
    pub join: Option<String>,
    /// The numbers in front of messages.
    pub numbers: Numbers,
    /// The messages that arrived late.
    pub late: Late,
    /// What the user has read and written.
    pub context: CausalContext,
    /// Who is online in the group.
    pub online: Online,
    /// The servers, as last reported.
    pub view: Option<View>,
    /// The connected replica.
    pub replica: Option<u64>,
    /// The number of replicas, as the connected one reports it.
    pub servers: Option<usize>,
    own: VecDeque<OwnMessage>,
}

impl State {
    /// The number of replicas, if a view or a server has reported it.
    pub fn replicas(&self) -> Option<usize> {
        let told = self.view.as_ref().map(|view| view.peers.len() + 1);
        told.or(self.servers)
    }

    /// The replicas that the connected one does not reach.
    pub fn unreached(&self) -> Vec<u64> {
        let peers = self.view.iter().flat_map(|view| &view.peers);
        peers
            .filter(|peer| peer.status == "down")
            .map(|peer| peer.replica)
            .collect()
    }

    /// The addresses of the replicas, as last reported.
    pub fn addresses(&self) -> BTreeMap<u64, String> {
        self.view.iter().flat_map(servers_of).collect()
    }

    /// The address of a replica by its number.
    pub fn address_of(&self, replica: u64) -> Option<String> {
        let Some(view) = &self.view else {
            return Some(address::by_rule(replica));
        };
        servers_of(view)
            .into_iter()
            .find(|(number, _)| *number == replica)
            .map(|(_, address)| address)
    }

    /// The addresses to try when `lost` does not answer: the others of the last view in turn, then
    /// `lost` itself.
    pub fn servers_after(&self, lost: &str) -> Vec<String> {
        let Some(view) = &self.view else {
            return vec![lost.to_owned()];
        };
        let own = view.own.replica;
        let mut servers = servers_of(view);
        servers.retain(|(number, address)| *number != own && address != lost);
        let later = servers.partition_point(|(number, _)| *number < own);
        servers.rotate_left(later);
        // Those last seen up come first; the view may be old, so the others are tried as well.
        let is_down = |number: u64| {
            view.peers
                .iter()
                .any(|peer| peer.replica == number && peer.status == "down")
        };
        servers.sort_by_key(|(number, _)| is_down(*number));
        servers
            .into_iter()
            .map(|(_, address)| address)
            .chain([lost.to_owned()])
            .collect()
    }

    /// Enters another group, or none: numbers and cursor start anew.
    pub fn enter(&mut self, group: Option<String>) {
        self.group = group;
        self.numbers = Numbers::default();
        self.late = Late::default();
        self.online = Online::default();
        self.context.cursor = None;
        self.own.clear();
    }

    /// Records a join: the group's name as the server spells it, and the mark.
    pub fn joined(&mut self, group: &str, mark: Option<String>) {
        self.group = Some(group.to_owned());
        self.join.clone_from(&mark);
        self.context.mark = mark.or(self.context.mark.take());
    }

    /// Goes to another cluster, where nothing of the former one is valid.
    pub fn leave_cluster(&mut self) {
        self.enter(None);
        self.context = CausalContext::default();
        self.join = None;
        self.view = None;
        self.servers = None;
    }

    /// Whether the user wrote this message.
    pub fn is_own(&self, message: &Message) -> bool {
        self.user.as_deref() == Some(message.author.name.as_str())
    }

    /// Follows an own message that is shown now.
    pub fn follow(&mut self, message: &Message) {
        if self.own.iter().any(|own| own.id == message.id) {
            return;
        }
        if self.own.len() == OWN_KEPT {
            self.own.pop_front();
        }
        let held_by = message.stored_on.len();
        self.own.push_back(OwnMessage {
            id: message.id.clone(),
            held_by,
            reported: held_by,
        });
    }

    /// Records how many replicas hold an own message.
    pub fn stored(&mut self, id: &str, held_by: usize) {
        if let Some(own) = self.own.iter_mut().find(|own| own.id == id) {
            own.held_by = own.held_by.max(held_by);
        }
    }

    /// Takes the unreported replica count of one own message, with its number.
    pub fn news_of(&mut self, id: &str) -> Option<(u64, usize)> {
        let own = self
            .own
            .iter_mut()
            .find(|own| own.id == id && own.reported != own.held_by)?;
        own.reported = own.held_by;
        Some((self.numbers.of(id)?, own.held_by))
    }

    /// Takes all unreported replica counts, each with the numbers of its messages, ascending.
    pub fn news_of_own(&mut self) -> BTreeMap<usize, Vec<u64>> {
        let mut news = BTreeMap::<usize, Vec<u64>>::new();
        for own in self
            .own
            .iter_mut()
            .filter(|own| own.reported != own.held_by)
        {
            own.reported = own.held_by;
            news.entry(own.held_by)
                .or_default()
                .extend(self.numbers.of(&own.id));
        }
        for numbers in news.values_mut() {
            numbers.sort_unstable();
        }
        news.retain(|_, numbers| !numbers.is_empty());
        news
    }
}

fn servers_of(view: &View) -> Vec<(u64, String)> {
    let peers = view
        .peers
        .iter()
        .map(|peer| (peer.replica, &peer.public_url));
    let mut servers: Vec<_> = std::iter::once((view.own.replica, &view.own.public_url))
        .chain(peers)
        .map(|(number, address)| (number, address.trim_end_matches('/').to_owned()))
        .collect();
    servers.sort();
    servers
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_client::{OwnView, PeerView, User};

    fn view_of(own: u64, peers: &[(u64, &str)]) -> View {
        let address = |replica: u64| format!("http://r{replica}:1");
        let peers = peers.iter().map(|(replica, status)| PeerView {
            replica: *replica,
            public_url: address(*replica),
            status: (*status).into(),
            out: "ok".into(),
            since: None,
            last_heard_ms: None,
            rtt_ms: None,
            missing_here: Some(0),
            missing_there: Some(0),
        });
        View {
            alarms: vec![],
            own: OwnView {
                replica: own,
                public_url: address(own),
                vector: vec![],
            },
            peers: peers.collect(),
        }
    }

    fn message(id: &str, stored_on: &[u64]) -> Message {
        Message {
            id: id.into(),
            author: User {
                id: "u".into(),
                name: "ann".into(),
            },
            text: "hi".into(),
            sent_at: None,
            received_at: None,
            likes: 0,
            position: "00".into(),
            stored_on: stored_on.to_vec(),
        }
    }

    #[test]
    fn a_post_carries_what_was_read_and_written() {
        let seen = CausalContext {
            cursor: Some("c".into()),
            mark: Some("m".into()),
        };
        assert_eq!(seen.for_post(), ["c", "m"]);
        assert!(CausalContext::default().for_post().is_empty());
    }

    #[test]
    fn before_any_view_a_replica_is_found_by_the_rule_of_dev() {
        let mut state = State::default();
        assert_eq!(
            state.address_of(4).as_deref(),
            Some("http://127.0.0.1:12004")
        );

        state.view = Some(view_of(1, &[(2, "up")]));

        assert_eq!(state.address_of(2).as_deref(), Some("http://r2:1"));
        assert_eq!(state.address_of(4), None);
    }

    #[test]
    fn a_lost_server_is_followed_by_the_next_of_the_view() {
        let state = State {
            view: Some(view_of(3, &[(1, "up"), (2, "up"), (4, "down"), (5, "up")])),
            ..State::default()
        };

        let servers = state.servers_after("http://r3:1");

        assert_eq!(
            servers,
            [
                "http://r5:1",
                "http://r1:1",
                "http://r2:1",
                "http://r4:1",
                "http://r3:1"
            ]
        );
    }

    #[test]
    fn news_of_an_own_message_is_told_once() {
        let mut state = State::default();
        state.numbers.show("m");
        state.follow(&message("m", &[1]));
        assert_eq!(state.news_of("m"), None);

        state.stored("m", 2);
        state.stored("m", 3);

        assert_eq!(state.news_of("m"), Some((1, 3)));
        assert_eq!(state.news_of("m"), None);
        assert!(state.news_of_own().is_empty());
    }

    #[test]
    fn news_of_many_own_messages_is_told_together() {
        let mut state = State::default();
        for (id, held_by) in [("a", 5), ("b", 3), ("c", 5)] {
            state.numbers.show(id);
            state.follow(&message(id, &[1]));
            state.stored(id, held_by);
        }

        let news: Vec<_> = state.news_of_own().into_iter().collect();

        assert_eq!(news, [(3, vec![2]), (5, vec![1, 3])]);
        assert!(state.news_of_own().is_empty());
    }

    #[test]
    fn another_group_has_numbers_of_its_own() {
        let mut state = State::default();
        state.numbers.show("m");
        state.context = CausalContext {
            cursor: Some("c".into()),
            mark: Some("m".into()),
        };

        state.enter(Some("other".into()));

        assert_eq!(state.numbers.message(1), None);
        assert_eq!(
            state.context,
            CausalContext {
                cursor: None,
                mark: Some("m".into())
            }
        );
    }
}
