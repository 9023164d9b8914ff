//! The lines typed before, kept across the editors that follow each other.
//!
//! `prompt` begins a fresh editor whenever something was printed above the line, and an editor owns
//! its history; so each gets a handle on the one that stays.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reedline::{
    FileBackedHistory, History, HistoryItem, HistoryItemId, HistorySessionId, Result, SearchQuery,
};

/// A handle on the lines typed in this run.
#[derive(Debug, Clone, Default)]
pub struct Recall(Arc<Mutex<FileBackedHistory>>);

impl Recall {
    fn lines(&self) -> MutexGuard<'_, FileBackedHistory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl History for Recall {
    fn save(&mut self, item: HistoryItem) -> Result<HistoryItem> {
        self.lines().save(item)
    }

    fn load(&self, id: HistoryItemId) -> Result<HistoryItem> {
        self.lines().load(id)
    }

    fn count(&self, query: SearchQuery) -> Result<i64> {
        self.lines().count(query)
    }

    fn search(&self, query: SearchQuery) -> Result<Vec<HistoryItem>> {
        self.lines().search(query)
    }

    fn update(
        &mut self,
        id: HistoryItemId,
        updater: &dyn Fn(HistoryItem) -> HistoryItem,
    ) -> Result<()> {
        self.lines().update(id, updater)
    }

    fn clear(&mut self) -> Result<()> {
        self.lines().clear()
    }

    fn delete(&mut self, id: HistoryItemId) -> Result<()> {
        self.lines().delete(id)
    }

    fn sync(&mut self) -> std::io::Result<()> {
        self.lines().sync()
    }

    fn session(&self) -> Option<HistorySessionId> {
        self.lines().session()
    }
}
