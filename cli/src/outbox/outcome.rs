//! What the answer to a post means for the message.

use causeway_client::CallError;

use super::Unsent;

/// What a failed post means for the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
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
pub fn outcome_of(unsent: &mut Unsent, error: &CallError) -> Outcome {
    if error.is_lost() {
        Outcome::Lost
    } else if error.is("unauthenticated") {
        Outcome::LoginEnded
    } else if error.passes() {
        Outcome::Later
    } else if (error.is("not_a_member") || error.is("not_found")) && unsent.not_a_member() {
        Outcome::AwaitsJoin
    } else {
        Outcome::Refused
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
        assert_eq!(outcome_of(&mut message, &not_a_member), Outcome::AwaitsJoin);
        assert_eq!(message.at_least(), Some("mark"));
        assert_eq!(
            outcome_of(&mut message, &refusal(503, "behind")),
            Outcome::Later
        );
        assert_eq!(outcome_of(&mut message, &not_a_member), Outcome::Refused);
        let mut never_joined = unsent("2", "lobby");
        assert_eq!(
            outcome_of(&mut never_joined, &not_a_member),
            Outcome::Refused
        );
    }

    #[test]
    fn only_an_answer_of_causeway_says_no() {
        let mut message = unsent("1", "lobby");
        for (error, outcome) in [
            (CallError::Unreachable("x".into()), Outcome::Lost),
            (CallError::Foreign("502".into()), Outcome::Lost),
            (refusal(401, "unauthenticated"), Outcome::LoginEnded),
            (refusal(429, "rate_limited"), Outcome::Later),
            (refusal(500, "internal"), Outcome::Later),
            (refusal(503, "busy"), Outcome::Later),
            (refusal(507, "disk_full"), Outcome::Later),
            (refusal(422, "invalid"), Outcome::Refused),
            (refusal(413, "too_large"), Outcome::Refused),
            (refusal(409, "key_reused"), Outcome::Refused),
        ] {
            assert_eq!(outcome_of(&mut message, &error), outcome, "{error:?}");
        }
    }
}
