//! Pure: the table of servers that `v` shows, and changes in it.

use causeway_client::{PeerView, View};
use jiff::Timestamp;

use super::{GREEN, RED, Style, YELLOW};
use crate::address;
use crate::text::sanitised_line;

impl Style {
    /// The servers that went down or came up.
    pub fn view_changes(&self, before: Option<&View>, after: &View) -> Vec<String> {
        let was = |replica| {
            let peers = before.map(|view| &view.peers)?;
            peers
                .iter()
                .find(|peer| peer.replica == replica)
                .map(|peer| peer.status.as_str())
        };
        let changed = after.peers.iter().filter(|peer| {
            let now_down = peer.status == "down";
            was(peer.replica).is_some_and(|before| (before == "down") != now_down)
        });
        changed
            .map(|peer| self.note(&format!("replica {} is {}", peer.replica, peer.status)))
            .collect()
    }

    /// The table of the servers.
    pub fn view(&self, view: &View, connected: &str, now: Timestamp) -> Vec<String> {
        let own = (view.own.replica, own_row(view, connected));
        let peers = view
            .peers
            .iter()
            .map(|peer| (peer.replica, self.peer_row(peer, now)));
        let mut rows: Vec<_> = std::iter::once(own).chain(peers).collect();
        rows.sort_by_key(|(replica, _)| *replica);
        let head = ["  replica", "address", "state", "since", "heard", "lag"].map(str::to_owned);
        let table: Vec<_> = std::iter::once(head)
            .chain(rows.into_iter().map(|(_, row)| row))
            .collect();
        let widths: Vec<usize> = (0..6)
            .map(|i| {
                table
                    .iter()
                    .map(|row| row[i].chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let mut lines: Vec<_> = table
            .iter()
            .map(|row| self.table_line(row, &widths))
            .collect();
        if !view.own.vector.is_empty() {
            lines.push(self.note(&format!(
                "events held here, by replica: {:?}",
                view.own.vector
            )));
        }
        let alarms = view.alarms.iter();
        lines.extend(alarms.map(|alarm| {
            let said = format!("alarm: {}", sanitised_line(&alarm.detail));
            self.paint(RED, &said)
        }));
        lines
    }

    fn table_line(&self, row: &[String; 6], widths: &[usize]) -> String {
        let cells = row.iter().zip(widths).map(|(cell, width)| {
            let padded = format!("{cell:<width$}");
            match cell.as_str() {
                "up" | "here" => self.paint(GREEN, &padded),
                "down" => self.paint(RED, &padded),
                "suspect" => self.paint(YELLOW, &padded),
                _ => padded,
            }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }

    fn peer_row(&self, peer: &PeerView, now: Timestamp) -> [String; 6] {
        let none = || "-".to_owned();
        [
            format!("  {}", peer.replica),
            address::short(&sanitised_line(&peer.public_url)).to_owned(),
            sanitised_line(&peer.status),
            self.time(peer.since.as_deref(), now).unwrap_or_else(none),
            peer.last_heard_ms.map_or_else(none, ago),
            lag(peer),
        ]
    }
}

fn own_row(view: &View, connected: &str) -> [String; 6] {
    let replica = format!("* {}", view.own.replica);
    let none = || "-".to_owned();
    [
        replica,
        address::short(&sanitised_line(connected)).to_owned(),
        "here".to_owned(),
        none(),
        none(),
        none(),
    ]
}

/// The events still to be transferred between the connected replica and this one.
fn lag(peer: &PeerView) -> String {
    let mut lag = Vec::new();
    lag.extend(
        peer.missing_there
            .filter(|count| *count > 0)
            .map(|count| format!("{count} to send")),
    );
    lag.extend(
        peer.missing_here
            .filter(|count| *count > 0)
            .map(|count| format!("{count} to come")),
    );
    if peer.out == "failing" && peer.status != "down" {
        lag.push("cannot be called".to_owned());
    }
    if !lag.is_empty() {
        return lag.join(", ");
    }
    let is_known = peer.missing_here.is_some() && peer.missing_there.is_some();
    if is_known { "none" } else { "unknown" }.to_owned()
}

fn ago(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{}.{} s ago", ms / 1000, ms % 1000 / 100),
        10_000..120_000 => format!("{} s ago", ms / 1000),
        _ => format!("{} min ago", ms / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use causeway_client::OwnView;

    const PLAIN: Style = Style {
        color: false,
        zone: TimeZone::UTC,
    };

    fn peer(replica: u64, status: &str) -> PeerView {
        PeerView {
            replica,
            public_url: format!("http://127.0.0.1:1200{replica}"),
            status: status.into(),
            out: "ok".into(),
            since: Some("2026-03-01T17:58:00Z".into()),
            last_heard_ms: Some(420),
            rtt_ms: None,
            missing_here: Some(0),
            missing_there: Some(0),
        }
    }

    fn view_of(peers: Vec<PeerView>) -> View {
        let own = OwnView {
            replica: 2,
            public_url: "http://127.0.0.1:12002".into(),
            vector: vec![4, 7],
        };
        View {
            own,
            peers,
            alarms: vec![],
        }
    }

    #[test]
    fn the_servers_stand_in_a_table() {
        let down = PeerView {
            last_heard_ms: Some(121_000),
            missing_there: Some(7),
            out: "failing".into(),
            ..peer(1, "down")
        };
        let never_heard = PeerView {
            last_heard_ms: None,
            missing_here: None,
            missing_there: None,
            ..peer(4, "down")
        };
        let now = "2026-03-01T18:00:00Z".parse().unwrap();

        let lines = PLAIN.view(
            &view_of(vec![down, peer(3, "up"), never_heard]),
            "http://127.0.0.1:12002",
            now,
        );

        let expected = [
            "  replica  address          state  since  heard      lag",
            "  1        127.0.0.1:12001  down   17:58  2 min ago  7 to send",
            "* 2        127.0.0.1:12002  here   -      -          -",
            "  3        127.0.0.1:12003  up     17:58  0.4 s ago  none",
            "  4        127.0.0.1:12004  down   17:58  -          unknown",
            "· events held here, by replica: [4, 7]",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn alarms_stand_below_the_table_as_sentences() {
        let mut view = view_of(vec![peer(1, "up")]);
        let detail = "the clock of replica 1 is 7.0 s ahead of this one's".to_owned();
        view.alarms.push(causeway_client::Alarm { detail });

        let lines = PLAIN.view(&view, "http://127.0.0.1:12002", Timestamp::UNIX_EPOCH);

        let last = lines.last().unwrap();
        assert_eq!(
            last,
            "alarm: the clock of replica 1 is 7.0 s ahead of this one's"
        );
    }

    #[test]
    fn servers_that_go_and_come_are_told_of_once() {
        let (up, suspect, down) = (
            view_of(vec![peer(1, "up")]),
            view_of(vec![peer(1, "suspect")]),
            view_of(vec![peer(1, "down")]),
        );

        assert_eq!(PLAIN.view_changes(None, &down), Vec::<String>::new());
        assert_eq!(
            PLAIN.view_changes(Some(&up), &suspect),
            Vec::<String>::new()
        );
        assert_eq!(
            PLAIN.view_changes(Some(&suspect), &down),
            ["· replica 1 is down"]
        );
        assert_eq!(PLAIN.view_changes(Some(&down), &down), Vec::<String>::new());
        assert_eq!(PLAIN.view_changes(Some(&down), &up), ["· replica 1 is up"]);
    }
}
