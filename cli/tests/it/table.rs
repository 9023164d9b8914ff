//! One table of cases: texts in many scripts, in windows of many sizes, through every event that
//! affects a screen. After each event a terminal emulator shows what a person sees: every message
//! once and in order, and the line as it was typed.

use std::fmt::Write as _;

use crate::fake::{Cluster, Server};
use crate::pty::{Reports, Screen, Setup};

/// A short text in each script, and how often a message repeats it.
const TEXTS: [(&str, usize); 7] = [
    ("plain words ", 1),
    ("wrapped words ", 9),
    ("日本語の文", 5),
    ("ne\u{301}e\u{323}\u{302}d ", 4),
    ("👨‍👩‍👧‍👦❤️👍🏽", 3),
    ("น้ำใจกำลังดี", 4),
    ("שלום עולם ", 4),
];

#[test]
fn in_a_window_of_80_columns() {
    goes_through_everything(24, 80, &TEXTS);
}

#[test]
fn in_a_window_of_40_columns() {
    goes_through_everything(12, 40, &TEXTS);
}

#[test]
fn in_a_window_of_200_columns() {
    goes_through_everything(50, 200, &TEXTS);
}

#[test]
fn in_a_window_of_20_columns() {
    goes_through_everything(8, 20, &TEXTS);
}

#[test]
fn in_a_window_of_10_columns() {
    goes_through_everything(4, 10, &TEXTS);
}

fn goes_through_everything(rows: u16, cols: u16, texts: &[(&'static str, usize)]) {
    std::thread::scope(|scope| {
        for chunk in texts.chunks(4) {
            scope.spawn(move || {
                for (sample, times) in chunk {
                    let mut session = Session::begin(rows, cols, sample, *times);
                    session.a_burst();
                    session.another_size_and_back();
                    session.a_draft_longer_than_the_window();
                    session.a_paste_of_200_lines();
                    session.a_late_cursor_report();
                    session.a_suspension();
                    session.a_lost_server();
                }
            });
        }
    });
}

struct Session {
    cluster: Cluster,
    servers: Vec<Server>,
    screen: Screen,
    sample: &'static str,
    text: String,
    rows: u16,
    cols: u16,
    said: usize,
    /// Up to here a smaller window may have cut off text, which no program can restore.
    cut: usize,
    posted: usize,
}

impl Session {
    fn begin(rows: u16, cols: u16, sample: &'static str, times: usize) -> Self {
        let cluster = Cluster::default();
        let servers = vec![cluster.start(1), cluster.start(2)];
        let setup = Setup {
            rows,
            cols,
            reports: Reports::Never,
            in_shell: true,
            ..Setup::default()
        };
        let name = servers[0].name();
        let arguments = ["--server", &name, "--user", "ann", "--group", "lobby"];
        let screen = Screen::open_as(&setup, &arguments);
        cluster.wait_for_requests(1, "GET", "/events");
        let session = Self {
            cluster,
            servers,
            screen,
            sample,
            text: sample.repeat(times),
            rows,
            cols,
            said: 0,
            cut: 0,
            posted: 0,
        };
        session.wait_for_draft("");
        session
    }

    fn a_burst(&mut self) {
        let draft = format!("a {}", self.sample.trim_end());
        self.type_in(&draft);
        self.say(1000);
        self.all_is_seen("a burst", &draft);
        self.send(&draft);
    }

    fn another_size_and_back(&mut self) {
        let draft = format!("a {}", self.text.trim_end());
        self.type_in(&draft);
        let (rows, cols) = (self.rows, self.cols);
        for (rows, cols) in [
            (rows, (cols / 2).max(8)),
            (rows * 2, cols),
            (rows / 2 + 1, cols * 2),
            (rows, cols),
        ] {
            self.screen.resize(rows, cols);
            self.wait_for_draft(&draft);
            self.say(2);
            self.wait_for_the_last();
        }
        self.cut = self.said;
        self.wait_for_draft(&draft);
        self.send(&draft);
    }

    fn a_draft_longer_than_the_window(&mut self) {
        let count = (usize::from(self.rows) * usize::from(self.cols)) / self.sample.chars().count();
        let long = self
            .sample
            .repeat(count * 2)
            .chars()
            .take(3800)
            .collect::<String>();
        let draft = format!("a {}", long.trim_end());
        self.type_in(&draft);
        self.say(3);
        self.all_is_seen("a long draft", &draft);
        self.send(&draft);
    }

    fn a_paste_of_200_lines(&mut self) {
        let mut draft = "a begin".to_owned();
        for line in 0..200 {
            let sample: String = self.sample.trim_end().chars().take(12).collect();
            let _ = write!(draft, "\n{line} {sample}");
        }
        self.screen.type_in(&format!("\x1b[200~{draft}\x1b[201~"));
        self.wait_for_draft(&draft);
        self.say(3);
        self.all_is_seen("a paste", &draft);
        self.send(&draft);
    }

    fn a_late_cursor_report(&mut self) {
        let draft = format!("a {}", self.sample.trim_end());
        self.type_in(&draft);
        self.screen.type_in("\x1b[2;5R");
        self.say(3);
        self.all_is_seen("a late report", &draft);
        self.send(&draft);
    }

    fn a_suspension(&mut self) {
        let draft = format!("a {}", self.text.trim_end());
        self.type_in(&draft);
        self.screen.type_in("\x1a");
        self.screen
            .wait("the shell", |screen| screen.last_row().ends_with("shell$"));
        self.say(3);
        self.screen.type_in("fg\n");
        self.all_is_seen("a suspension", &draft);
        self.send(&draft);
    }

    fn a_lost_server(&mut self) {
        let draft = format!("a {}", self.text.trim_end());
        self.type_in(&draft);
        self.servers[0].kill();
        self.say(3);
        self.all_is_seen("a lost server", &draft);
        self.send(&draft);
    }

    fn type_in(&self, text: &str) {
        self.screen.type_in(text);
        self.wait_for_draft(text);
    }

    fn say(&mut self, count: usize) {
        for _ in 0..count {
            self.said += 1;
            let text = format!("{} {}", label(self.said), self.text);
            self.cluster.say("bob", &text);
        }
    }

    fn wait_for_the_last(&self) {
        let last = label(self.said);
        self.screen.wait(&last, |screen| {
            flat(&screen.all_rows_from_end(400)).contains(&last)
        });
    }

    /// The rows end with the typed line, as far as it fits into the window.
    fn wait_for_draft(&self, draft: &str) {
        let wanted = format!("> {draft}");
        let wanted = flat(&[wanted]);
        self.screen.wait(&format!("the draft {draft}"), |screen| {
            let shown = flat(&screen.rows());
            if shown.ends_with(&wanted) {
                return true;
            }
            // Only the end of a longer line.
            let place = shown.rfind(['─', '+']).unwrap_or(0);
            let row = screen.rows()[usize::from(screen.cursor().0)].clone();
            let (row, shown) = (flat(&[row]), &shown[place..]);
            wanted.ends_with(&row)
                && 2 * wanted.chars().count() > usize::from(screen.size().1)
                && shown.ends_with(&row)
                && (screen.cursor().1 == 0 || !row.is_empty())
        });
    }

    fn all_is_seen(&self, event: &str, draft: &str) {
        self.wait_for_the_last();
        self.wait_for_draft(draft);
        let all = flat(&self.screen.all_rows());
        let shown: Vec<_> = all
            .split('«')
            .skip(1)
            .filter_map(|piece| piece.split_once('»')?.0.parse::<usize>().ok())
            .filter(|number| *number > self.cut)
            .collect();
        let wanted: Vec<_> = (self.cut + 1..=self.said).collect();
        assert!(
            shown == wanted,
            "{event}, {}x{}, {}: {shown:?}\n{}",
            self.rows,
            self.cols,
            self.sample,
            self.screen.rows().join("\n")
        );
    }

    /// Sends the line and checks that it is as typed.
    fn send(&mut self, draft: &str) {
        self.screen.type_in("\r");
        self.posted += 1;
        let posted = self.posted;
        self.screen
            .wait("the post", |_| self.cluster.posts().len() == posted);
        let text = self.cluster.posts()[posted - 1].body["text"].clone();
        assert_eq!(text, draft.strip_prefix("a ").unwrap().trim_end());
        self.wait_for_draft("");
    }
}

fn label(number: usize) -> String {
    format!("«{number:04}»")
}

/// The rows without white space and without what takes no column, which an emulator may drop.
fn flat(rows: &[String]) -> String {
    let chars = rows.iter().flat_map(|row| row.chars());
    chars
        .filter(|c| !c.is_whitespace() && !matches!(c, '\u{2068}' | '\u{2069}'))
        .collect()
}
