//! The query of a push or a pull: who calls, and for a pull beyond what.

use causeway_domain::version_vector::VersionVector;

use super::events::BATCH_EVENTS;
use super::{Caller, EVENTS_PATH};

/// Writes the path and query of a push.
pub fn push_target(caller: &Caller) -> String {
    format!(
        "{EVENTS_PATH}?cluster={}&replica={}&instance={}",
        percent_encode(&caller.cluster),
        caller.replica,
        caller.instance
    )
}

/// Writes the path and query of a pull.
pub fn pull_target(caller: &Caller, after: &VersionVector, limit: usize) -> String {
    let after = serde_json::to_string(after).expect("origins are text keys");
    format!(
        "{}&limit={limit}&after={}",
        push_target(caller),
        percent_encode(&after)
    )
}

/// Writes the path and query of a pull that asks for forked origins as well: what a rescue needs.
/// An earlier version leaves them out all the same.
pub fn whole_pull_target(caller: &Caller, after: &VersionVector, limit: usize) -> String {
    format!("{}&forked=true", pull_target(caller, after, limit))
}

/// Reads whether a pull asks for forked origins as well.
pub fn asks_for_forked(query: &str) -> bool {
    parameter(query, "forked").as_deref() == Some("true")
}

/// Reads who calls from a query.
pub fn parse_caller(query: &str) -> Option<Caller> {
    Some(Caller {
        cluster: parameter(query, "cluster")?,
        replica: serde_json::from_str(&parameter(query, "replica")?).ok()?,
        instance: parameter(query, "instance")?.parse().ok()?,
    })
}

/// Reads beyond what to pull, and how many events at most: never more than one batch.
pub fn parse_pull(query: &str) -> Option<(VersionVector, usize)> {
    let after = serde_json::from_str(&parameter(query, "after")?).ok()?;
    let limit: usize = parameter(query, "limit")?.parse().ok()?;
    Some((after, limit.clamp(1, BATCH_EVENTS)))
}

fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .find(|(key, _)| *key == name)
        .and_then(|(_, value)| percent_decode(value))
}

fn percent_encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let mut byte = [0];
        hex::decode_to_slice(digits, &mut byte).ok()?;
        bytes.extend(byte);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use causeway_domain::ids::{Epoch, Origin, ReplicaId};
    use proptest::prelude::*;

    use super::*;
    use crate::instance::Instance;

    #[test]
    fn a_sign_is_no_digit_of_an_escaped_byte() {
        assert_eq!(percent_decode("a%2Bb").as_deref(), Some("a+b"));
        assert_eq!(percent_decode("a%+Bb"), None);
    }

    proptest! {
        #[test]
        fn a_query_is_read_as_it_was_written(
            cluster in ".{0,20}", replica in 1..u16::MAX, instance: u64,
            held in prop::collection::vec((1..9_u16, any::<u32>(), 1..1_u64 << 53), 0..5),
        ) {
            let replica = ReplicaId::new(replica).unwrap();
            let caller = Caller { cluster, replica, instance: Instance(instance) };
            let after: VersionVector = held.into_iter().map(|(replica, epoch, seq)| {
                let replica = ReplicaId::new(replica).unwrap();
                (Origin { replica, epoch: Epoch(epoch) }, seq)
            }).collect();

            let target = pull_target(&caller, &after, 7);
            let (path, query) = target.split_once('?').unwrap();

            prop_assert_eq!(path, EVENTS_PATH);
            prop_assert_eq!(parse_caller(query), Some(caller));
            prop_assert_eq!(parse_pull(query), Some((after, 7)));
        }

        #[test]
        fn junk_is_no_query(query in ".{0,200}") {
            prop_assert_eq!(parse_caller(&query), None);
            prop_assert_eq!(parse_pull(&query), None);
        }
    }
}
