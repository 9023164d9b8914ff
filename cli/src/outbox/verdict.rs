//! What the answer to a post means for the message.

use causeway_client::CallError;

use super::Unsent;

/// What a failed post means for the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The server is lost; whether it stored the message is unknown.
    Lost,
    /// The login has expired; the message is not stored.
    LoginEnded,
    /// The same server will accept it later.
    Later,
    /// The replica does not hold the join yet.
    AwaitsJoin,
    /// It is not accepted, now or later.
    Refused,
}

/// Returns what an error means for a message.
pub fn judge(unsent: &mut Unsent, error: &CallError) -> Verdict {
    if error.is_lost() {
        Verdict::Lost
    } else if error.is("unauthenticated") {
        Verdict::LoginEnded
    } else if error.passes() {
        Verdict::Later
    } else if (error.is("not_a_member") || error.is("not_found")) && unsent.not_a_member() {
        Verdict::AwaitsJoin
    } else {
        Verdict::Refused
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::unsent;
    use super::*;

    fn refusal(status: u16, code: &str) -> CallError {
        CallError::Refused {
            status,
            code: code.into(),
            detail: String::new(),
            retry_after_s: None,
        }
    }

    #[test]
    fn a_replica_that_does_not_know_of_the_join_is_asked_to_wait_for_it() {
        let mut message = Unsent {
            joined: Some("mark".into()),
            ..unsent("1", "lobby")
        };
        let not_a_member = refusal(403, "not_a_member");

        assert_eq!(message.at_least(), None);
        assert_eq!(judge(&mut message, &not_a_member), Verdict::AwaitsJoin);
        assert_eq!(message.at_least(), Some("mark"));
        assert_eq!(judge(&mut message, &refusal(503, "behind")), Verdict::Later);
        assert_eq!(judge(&mut message, &not_a_member), Verdict::Refused);
        let mut never_joined = unsent("2", "lobby");
        assert_eq!(judge(&mut never_joined, &not_a_member), Verdict::Refused);
    }

    #[test]
    fn only_an_answer_of_causeway_says_no() {
        let mut message = unsent("1", "lobby");
        for (error, verdict) in [
            (CallError::Unreachable("x".into()), Verdict::Lost),
            (CallError::Foreign("502".into()), Verdict::Lost),
            (refusal(401, "unauthenticated"), Verdict::LoginEnded),
            (refusal(429, "rate_limited"), Verdict::Later),
            (refusal(500, "internal"), Verdict::Later),
            (refusal(503, "busy"), Verdict::Later),
            (refusal(507, "disk_full"), Verdict::Later),
            (refusal(422, "invalid"), Verdict::Refused),
            (refusal(413, "too_large"), Verdict::Refused),
            (refusal(409, "key_reused"), Verdict::Refused),
        ] {
            assert_eq!(judge(&mut message, &error), verdict, "{error:?}");
        }
    }
}
