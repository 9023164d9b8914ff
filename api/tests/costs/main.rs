//! What the hot paths cost this process, counted in allocations and not timed, so that a change that
//! doubles the cost of a post is noticed on any machine, however busy.
//!
//! Allocations are counted by thread: each test runs the parts it measures on its own thread, and
//! clients on others. What Postgres has to do for a post is counted in `store/tests/it/costs.rs`.
#![expect(clippy::unwrap_used, reason = "a test fails where its helper does")]
#![expect(clippy::disallowed_methods, reason = "a test has a clock of its own")]

mod client;
mod figure;
mod http;
mod log;
mod replica;
mod store;

use figure::Figure;

/// A keyed post: its request, its answer, the read model's step, and the frame to one reader. A
/// quarter belongs to HTTP, from the first byte read to the last one written.
const POST: Figure = Figure::of("POST", 272);
/// A page of the newest 50 messages: some 30 for each, half of them reading its row.
const PAGE: Figure = Figure::of("PAGE", 1_470);
/// A post and its frame to 1,000 readers of one group: all get the same bytes, and each connection
/// costs three.
const FRAMES: Figure = Figure::of("FRAMES", 3_387);
/// 500 events of a peer, into the log: fewer than eight for each, most of them to decode it.
const ABSORBED: Figure = Figure::of("ABSORBED", 3_807);
/// 500 events into a read model that opens: reading the log and writing the rows.
const FOLDED: Figure = Figure::of("FOLDED", 11_419);
