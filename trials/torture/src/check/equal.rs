//! Every replica shows the same order, messages, likes and members.

use super::Breach;
use crate::finals::Finals;

pub(super) fn check(finals: &Finals) -> Vec<Breach> {
    let mut found = Vec::new();
    for (group, replicas) in finals {
        let mut shown = replicas.iter();
        let Some((first, expected)) = shown.next() else {
            continue;
        };
        for (replica, other) in shown.filter(|(_, other)| *other != expected) {
            let (ours, theirs) = (&expected.messages, &other.messages);
            let at = ours.iter().zip(theirs).position(|(one, two)| one != two);
            let at = at.unwrap_or_else(|| ours.len().min(theirs.len()));
            let what = format!(
                "{group} on replicas {first} and {replica}: {} and {} messages, message {at} is {:?} and {:?}; members {:?} and {:?}",
                ours.len(),
                theirs.len(),
                ours.get(at).map(ToString::to_string),
                theirs.get(at).map(ToString::to_string),
                expected.members,
                other.members,
            );
            found.push(Breach::new("equal", what));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::{finals, message};

    #[test]
    fn another_order_a_missing_message_and_another_member_are_seen() {
        let good = finals(&[message("a", "1"), message("b", "2")]);
        assert_eq!(check(&good), []);

        let mut swapped = good.clone();
        let second = |finals: &mut Finals| finals.get_mut("g").unwrap().remove(&2).unwrap();
        let mut shown = second(&mut swapped);
        shown.messages.swap(0, 1);
        swapped.get_mut("g").unwrap().insert(2, shown);
        assert_eq!(check(&swapped).len(), 1);

        let mut short = good.clone();
        short
            .get_mut("g")
            .unwrap()
            .get_mut(&2)
            .unwrap()
            .messages
            .pop();
        assert_eq!(check(&short).len(), 1);

        let mut left = good;
        left.get_mut("g")
            .unwrap()
            .get_mut(&2)
            .unwrap()
            .members
            .pop();
        assert_eq!(check(&left).len(), 1);
    }
}
