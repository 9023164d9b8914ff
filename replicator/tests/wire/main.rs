//! What replicas send each other, frozen: a changed file is a changed promise to every replica of
//! every version (F28). What a later version may add is read over.

mod later;
mod sent;
