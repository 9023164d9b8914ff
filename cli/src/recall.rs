//! Lines typed earlier: in this run, and, in a file per user, in former runs.
//!
//! A file that cannot be read or written is ignored: the lines of this run remain. Hidden input,
//! such as a password, must never be added.

use std::collections::VecDeque;
use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use reedline::{FileBackedHistory, History as _, HistoryItem, SearchDirection, SearchQuery};

/// The number of lines kept.
const KEPT: usize = 1000;

/// The lines that arrow up recalls.
#[derive(Debug, Default)]
pub struct Recall {
    lines: Vec<String>,
    file: Option<FileBackedHistory>,
    /// Lines that are saved already and still to be added.
    early: VecDeque<String>,
}

impl Recall {
    /// Opens a file of lines, which only its owner can read.
    pub fn open(path: &Path) -> Self {
        let file = open(path).ok();
        let lines = file.as_ref().map(lines_of).unwrap_or_default();
        Self {
            lines,
            file,
            early: VecDeque::new(),
        }
    }

    /// The oldest first.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// A copy without the file.
    pub fn without_file(&self) -> Self {
        Self {
            lines: self.lines.clone(),
            ..Self::default()
        }
    }

    /// Saves a line that is to be added later.
    pub fn save_early(&mut self, line: &str) {
        let last = self.early.back().or(self.lines.last());
        if !line.trim().is_empty() && last.is_none_or(|last| last != line) {
            self.save(line);
        }
        self.early.push_back(line.to_owned());
    }

    /// Saves the early lines of a former user's recall here as well.
    pub fn take_early(&mut self, former: &Self) {
        for line in &former.early {
            self.save_early(line);
        }
    }

    /// Adds a line, unless it repeats the last one.
    pub fn add(&mut self, line: &str) {
        let is_saved = self.early.pop_front().is_some_and(|early| early == line);
        if !is_saved {
            self.early.clear();
        }
        if line.trim().is_empty() || self.lines.last().is_some_and(|last| last == line) {
            return;
        }
        if self.lines.len() >= 2 * KEPT {
            self.lines.drain(..KEPT);
        }
        self.lines.push(line.to_owned());
        if !is_saved {
            self.save(line);
        }
    }

    fn save(&mut self, line: &str) {
        if let Some(file) = &mut self.file {
            let saved = file.save(HistoryItem::from_command_line(line));
            // A line that cannot be saved is still recalled in this run.
            if saved.is_err() || file.sync().is_err() {
                self.file = None;
            }
        }
    }
}

fn open(path: &Path) -> std::io::Result<FileBackedHistory> {
    if let Some(folder) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    FileBackedHistory::with_file(KEPT, path.to_owned()).map_err(std::io::Error::other)
}

fn lines_of(file: &FileBackedHistory) -> Vec<String> {
    let all = SearchQuery::everything(SearchDirection::Forward, None);
    let items = file.search(all).unwrap_or_default();
    items.into_iter().map(|item| item.command_line).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn lines_are_there_again_in_the_next_run_and_nobody_else_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/history/ann");
        let mut first = Recall::open(&path);
        first.add("a one");
        first.add("a one");
        first.add("a two\nlines");
        drop(first);

        let second = Recall::open(&path);

        assert_eq!(second.lines(), ["a one", "a two\nlines"]);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_line_that_is_saved_early_is_found_once_and_only_in_its_turn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ann");
        let mut first = Recall::open(&path);
        first.add("a one");

        first.save_early("a two");
        first.save_early("a three");
        first.save_early("a three");

        assert_eq!(first.lines(), ["a one"]);
        let all = ["a one", "a two", "a three"];
        assert_eq!(Recall::open(&path).lines(), all);
        for line in ["a two", "a three", "a three"] {
            first.add(line);
        }
        assert_eq!(first.lines(), all);
        assert_eq!(Recall::open(&path).lines(), all);
    }

    #[test]
    fn without_a_file_the_lines_of_this_run_stay() {
        let mut recall = Recall::open(Path::new("/proc/nothing/here"));
        recall.add("a one");

        assert_eq!(recall.lines(), ["a one"]);
    }
}
