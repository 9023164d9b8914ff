//! Which process speaks for a peer. Addresses prove nothing; what answers at the configured one
//! does.
//!
//! A call from a process that has not been heard of before starts a check: a digest to the
//! configured address. Whoever answers a check begun after the newcomer showed up is the peer. A
//! newcomer that does not answer there, while another does, is a clone and is refused for as long
//! as that stays so. Where nobody answers the check the newcomer is believed: a link may work one way
//! only. That nobody answered before proves nothing: the peer itself may be starting again.

use crate::instance::Instance;

/// Former processes remembered, so that what they said late is not taken for news.
const REMEMBERED: usize = 16;
/// A process that was believed and is silent for so long has ended: a former one that speaks was
/// ousted by a late word of its predecessor.
const ENDED_MS: u64 = 5_000;

/// What is known of a peer's processes.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    current: Option<Instance>,
    current_since_ms: u64,
    current_heard_ms: u64,
    former: Vec<Instance>,
    newcomer: Option<Newcomer>,
}

#[derive(Clone, Copy, Debug)]
struct Newcomer {
    instance: Instance,
    since_ms: u64,
    check: Check,
}

/// What came of the last check begun after a newcomer showed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    /// Nothing yet.
    Open,
    /// Another process answered: the newcomer is a copy.
    Clone,
    /// Nobody answered.
    Silence,
}

/// What to do with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is the peer.
    Peer,
    /// Answer it, learn nothing from it: it is a former process, or not settled yet.
    Stranger,
    /// The same, and ask at the configured address who is there.
    Newcomer,
    /// Another process answers at the configured address.
    Clone,
}

impl Identity {
    /// Judges a call. `is_answering`: calls to the configured address succeed at present.
    pub(crate) fn on_call(
        &mut self,
        instance: Instance,
        now_ms: u64,
        is_answering: bool,
    ) -> Admission {
        if self.current == Some(instance) {
            self.current_heard_ms = now_ms;
            return Admission::Peer;
        }
        if self.is_clone(instance, is_answering) {
            return Admission::Clone;
        }
        let is_silent = now_ms >= self.current_heard_ms + ENDED_MS;
        if !is_answering && !is_silent && self.former.contains(&instance) {
            return Admission::Stranger;
        }
        if self.current.is_none() || self.is_believed_unanswered(instance, is_answering) {
            self.become_current(instance, now_ms);
            return Admission::Peer;
        }
        // A former process that still calls is checked like a newcomer: it may be a copy that was
        // believed before anybody answered. One that is about to be believed is not displaced.
        let is_settled = |known: Newcomer| {
            known.instance == instance
                || (known.check == Check::Silence && now_ms < known.since_ms + ENDED_MS)
        };
        if self.newcomer.is_some_and(is_settled) {
            return Admission::Stranger;
        }
        self.newcomer = Some(Newcomer {
            instance,
            since_ms: now_ms,
            check: Check::Open,
        });
        Admission::Newcomer
    }

    /// Takes in that nobody answered a call made at `called_ms` to the configured address.
    pub(crate) fn on_silence(&mut self, called_ms: u64) {
        if let Some(newcomer) = &mut self.newcomer
            && called_ms >= newcomer.since_ms
        {
            newcomer.check = Check::Silence;
        }
    }

    /// Takes in who answered a call made at `called_ms` to the configured address. Tells whether
    /// to believe the answer: not when it comes late from a process that has a successor since.
    pub(crate) fn on_answer(&mut self, instance: Instance, called_ms: u64, now_ms: u64) -> bool {
        if let Some(newcomer) = &mut self.newcomer
            && newcomer.instance != instance
            && called_ms >= newcomer.since_ms
        {
            newcomer.check = Check::Clone;
        }
        if self.former.contains(&instance) {
            if called_ms < self.current_since_ms {
                return false;
            }
            // The one believed until now had only called, and does not answer: it is the copy.
            self.newcomer = self.current.map(|ousted| Newcomer {
                instance: ousted,
                since_ms: self.current_since_ms,
                check: Check::Clone,
            });
        }
        self.become_current(instance, now_ms);
        true
    }

    /// Tells whether events may be given to this process: the peer, or anybody who gives its number
    /// while nobody answers at its address; a rescue calls as nobody else does.
    pub(crate) fn may_pull(&self, instance: Instance, is_answering: bool) -> bool {
        !is_answering || self.may_push(instance, is_answering)
    }

    /// Tells whether events may be taken from this process: the peer, and who is to be believed at its
    /// next call.
    pub(crate) fn may_push(&self, instance: Instance, is_answering: bool) -> bool {
        self.current.is_none_or(|current| current == instance)
            || self.is_believed_unanswered(instance, is_answering)
    }

    fn is_believed_unanswered(&self, instance: Instance, is_answering: bool) -> bool {
        !is_answering && self.has_come_of(instance, Check::Silence)
    }

    /// Tells whether this process is known to be a copy.
    pub(crate) fn is_clone(&self, instance: Instance, is_answering: bool) -> bool {
        is_answering && self.has_come_of(instance, Check::Clone)
    }

    /// Tells whether this process is the newcomer and its check ended so.
    fn has_come_of(&self, instance: Instance, check: Check) -> bool {
        let is_it = |known: Newcomer| known.instance == instance && known.check == check;
        self.newcomer.is_some_and(is_it)
    }

    /// The process believed to be the peer.
    pub(crate) fn current(&self) -> Option<Instance> {
        self.current
    }

    fn become_current(&mut self, instance: Instance, now_ms: u64) {
        self.current_heard_ms = now_ms;
        if self.current == Some(instance) {
            return;
        }
        self.former.retain(|&former| former != instance);
        self.former.extend(self.current);
        if self.former.len() > REMEMBERED {
            self.former.remove(0);
        }
        self.current = Some(instance);
        self.current_since_ms = now_ms;
        if self.newcomer.is_some_and(|n| n.instance == instance) {
            self.newcomer = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Instance = Instance(1);
    const SECOND: Instance = Instance(2);
    const THIRD: Instance = Instance(3);

    impl Identity {
        fn believes_on_silence(&mut self, instance: Instance, now_ms: u64) {
            self.on_call(instance, now_ms, false);
            self.on_silence(now_ms);
            assert_eq!(self.on_call(instance, now_ms, false), Admission::Peer);
        }
    }

    #[test]
    fn a_restarted_peer_is_believed_once_it_answers_at_its_address() {
        let mut identity = Identity::default();
        identity.on_answer(FIRST, 0, 1);

        assert_eq!(identity.on_call(SECOND, 10, true), Admission::Newcomer);
        assert!(identity.on_answer(SECOND, 11, 12));

        assert_eq!(identity.on_call(SECOND, 13, true), Admission::Peer);
        assert!(identity.may_push(SECOND, true));
        assert!(!identity.may_push(FIRST, true));
        assert_eq!(identity.on_call(FIRST, 14, false), Admission::Stranger);
    }

    #[test]
    fn a_copy_that_called_before_anybody_answered_is_found_out() {
        let mut identity = Identity::default();
        assert_eq!(identity.on_call(SECOND, 5, true), Admission::Peer);
        identity.on_answer(FIRST, 4, 6);

        assert_eq!(identity.on_call(SECOND, 10, true), Admission::Newcomer);
        assert!(!identity.may_push(SECOND, true));
        identity.on_answer(FIRST, 11, 12);

        assert_eq!(identity.on_call(SECOND, 13, true), Admission::Clone);
        assert_eq!(identity.on_call(FIRST, 14, true), Admission::Peer);
    }

    #[test]
    fn a_clone_is_refused_while_the_other_answers() {
        let mut identity = Identity::default();
        identity.on_answer(FIRST, 0, 1);
        identity.on_call(SECOND, 10, true);

        identity.on_answer(FIRST, 11, 12);

        assert_eq!(identity.on_call(SECOND, 13, true), Admission::Clone);
        assert_eq!(identity.on_call(FIRST, 14, true), Admission::Peer);
        identity.on_silence(16);
        assert_eq!(identity.on_call(SECOND, 20, false), Admission::Peer);
    }

    #[test]
    fn a_clone_that_calls_while_the_peer_starts_again_is_not_believed_before_it_was_asked() {
        let mut identity = Identity::default();
        identity.on_answer(FIRST, 0, 1);
        identity.on_silence(5);

        assert_eq!(identity.on_call(SECOND, 10, false), Admission::Newcomer);
        assert!(!identity.may_push(SECOND, false));
        identity.on_silence(9);
        assert_eq!(identity.on_call(SECOND, 11, false), Admission::Stranger);
        identity.on_answer(THIRD, 12, 13);

        assert_eq!(identity.on_call(SECOND, 14, true), Admission::Clone);
        assert_eq!(identity.on_call(THIRD, 14, true), Admission::Peer);
    }

    #[test]
    fn who_is_about_to_be_believed_is_not_displaced_by_another_call() {
        let mut identity = Identity::default();
        identity.on_answer(FIRST, 0, 1);

        assert_eq!(identity.on_call(SECOND, 10, false), Admission::Newcomer);
        identity.on_silence(11);

        assert_eq!(identity.on_call(THIRD, 12, false), Admission::Stranger);
        assert!(!identity.may_push(THIRD, false));
        assert!(identity.may_push(SECOND, false));
        assert_eq!(identity.on_call(SECOND, 13, false), Admission::Peer);
    }

    #[test]
    fn an_answer_to_a_call_from_before_the_newcomer_proves_nothing_against_it() {
        let mut identity = Identity::default();
        identity.on_answer(FIRST, 0, 1);
        identity.on_call(SECOND, 10, true);

        identity.on_answer(FIRST, 9, 11);

        assert_eq!(identity.on_call(SECOND, 12, true), Admission::Stranger);
    }

    #[test]
    fn a_peer_that_can_only_call_is_believed() {
        let mut identity = Identity::default();

        assert_eq!(identity.on_call(FIRST, 0, false), Admission::Peer);
        assert_eq!(identity.on_call(SECOND, 10, false), Admission::Newcomer);
        identity.on_silence(10);
        assert_eq!(identity.on_call(SECOND, 12, false), Admission::Peer);
        assert!(!identity.on_answer(FIRST, 9, 13), "late answer of the dead");
        assert_eq!(identity.on_call(SECOND, 14, false), Admission::Peer);
    }

    #[test]
    fn a_process_ousted_by_a_late_word_of_its_predecessor_is_believed_again() {
        let mut identity = Identity::default();
        identity.on_call(SECOND, 0, false);
        identity.believes_on_silence(FIRST, 10);

        assert_eq!(identity.on_call(SECOND, 1_000, false), Admission::Stranger);
        assert_eq!(identity.on_call(FIRST, 4_000, false), Admission::Peer);
        assert_eq!(identity.on_call(SECOND, 8_000, false), Admission::Stranger);
        identity.believes_on_silence(SECOND, 9_000);
        assert_eq!(identity.on_call(FIRST, 9_100, false), Admission::Stranger);
    }

    #[test]
    fn a_clone_that_was_believed_while_nobody_answered_is_found_out() {
        let mut identity = Identity::default();
        identity.on_call(FIRST, 0, false);
        identity.believes_on_silence(SECOND, 10);

        assert!(identity.on_answer(FIRST, 20, 21));

        assert_eq!(identity.on_call(SECOND, 22, true), Admission::Clone);
    }
}
