//! What replicas send each other, frozen: a changed file is a changed promise to every replica of
//! every version (F28). What a later version may add is read over.

#![expect(clippy::unwrap_used, reason = "a test fails where its helper does")]

mod later;
mod sent;
