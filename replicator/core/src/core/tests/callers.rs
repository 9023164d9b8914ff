//! Who is believed, and about what.

use super::*;

#[test]
fn a_caller_that_does_not_belong_is_refused_with_a_reason_and_told_of_once() {
    let proper = digest(2, 1, &[]);
    let cases = [
        (
            Digest {
                cluster: "other".into(),
                ..proper.clone()
            },
            Refusal::OtherCluster {
                cluster: "c".into(),
            },
        ),
        (
            Digest {
                protocol: [3, 4],
                ..proper.clone()
            },
            Refusal::NoCommonProtocol { protocol: PROTOCOL },
        ),
        (digest(1, 1, &[]), Refusal::SameNumber { replica: id(1) }),
        (
            digest(9, 1, &[]),
            Refusal::UnknownReplica { replica: id(9) },
        ),
    ];
    for (caller, refusal) in cases {
        let mut given = Given::peers(2);

        let first = given.called(caller.clone());
        let second = given.called(caller);

        assert!(
            matches!(&first[..], [Output::Alarm(_), Output::Answer(Err(why))] if *why == refusal)
        );
        assert!(
            matches!(&second[..], [Output::Answer(Err(_))]),
            "{second:?}"
        );
    }
}

#[test]
fn a_caller_with_anothers_certificate_is_told_of_once_and_the_peer_itself_goes_on() {
    let mut given = Given::peers(2);
    let reason = Refusal::WrongCertificate {
        claimed: id(2),
        certificate: Some(id(3)),
    };
    let refused = || Input::CallRefused {
        replica: id(2),
        reason: reason.clone(),
    };

    let first = given.step(refused());
    let second = given.step(refused());
    let served = given.called(digest(2, 1, &[]));

    assert!(matches!(&first[..], [Output::Alarm(Alarm::Refused { .. })]));
    assert!(second.is_empty(), "{second:?}");
    assert!(matches!(&served[..], [Output::Answer(Ok(_))]), "{served:?}");
    given.at(1);
    assert_eq!(given.kinds(), ["refused"], "it still stands");
}

#[test]
fn a_peer_that_answers_with_another_number_is_not_believed() {
    let mut given = Given::peers(2);

    let done = given.answered_as(2, digest(3, 1, &[(3, 5)]));

    let reason = Refusal::WrongNumber {
        configured: id(2),
        answers: id(3),
    };
    assert!(
        matches!(&done[..], [Output::Alarm(Alarm::RefusedBy { reason: r, .. })] if *r == reason)
    );
    assert_eq!(given.core.knowledge().peers[&id(2)].held, None);
}

#[test]
fn an_older_digest_changes_nothing() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 7, &[(2, 5)]));

    given.called(digest(2, 6, &[(2, 3)]));
    assert_eq!(given.known(2), vector(&[(2, 5)]));
    given.called(digest(2, 8, &[(2, 4)]));

    assert_eq!(given.known(2), vector(&[(2, 4)]), "replaced, not merged");
}

#[test]
fn a_peer_becomes_suspect_and_down_by_silence_alone() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[]));
    let status = |given: &Given| given.core.knowledge().peers[&id(2)].liveness.status;

    assert_eq!(status(&given), Status::Up);
    given.fails(2);
    assert_eq!(status(&given), Status::Up, "it may still call");
    given.at(2_000);
    assert_eq!(status(&given), Status::Suspect);
    given.at(2_000);
    assert_eq!(status(&given), Status::Down);
    given.called(digest(2, 2, &[]));
    assert_eq!(status(&given), Status::Up);
}

#[test]
fn a_question_is_answered_and_teaches_nothing() {
    let mut given = Given::peers(2);

    let answer = given.called(digest(2, 0, &[(2, 9)]));

    assert!(matches!(answer.last(), Some(Output::Answer(Ok(_)))));
    assert_eq!(given.core.knowledge().peers[&id(2)].held, None);
}

#[test]
fn a_clone_is_refused_also_when_it_pushes_or_pulls() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[]));
    let clone = Digest {
        instance: Instance(66),
        ..digest(2, 1, &[])
    };
    given.at(1_000);
    given.called(clone.clone());
    given.at(1_000);
    given.answered(digest(2, 2, &[]));

    let refused = given.called(clone.clone());

    let refusal = Refusal::Clone { replica: id(2) };
    assert!(matches!(refused.last(), Some(Output::Answer(Err(why))) if *why == refusal));
    let caller = Caller {
        cluster: "c".into(),
        replica: id(2),
        instance: clone.instance,
    };
    assert_eq!(given.core.admit_push(&caller), Err(refusal.clone()));
    assert_eq!(
        given.core.admit_pull(&caller, vector(&[]), false),
        Err(refusal)
    );
}

#[test]
fn a_newcomer_teaches_nothing_before_its_peer_was_asked_though_that_was_away() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[]));
    given.at(1_000);
    given.fails(2);
    let newcomer = Instance(66);
    let caller = Caller {
        cluster: "c".into(),
        replica: id(2),
        instance: newcomer,
    };
    let call = |n| Digest {
        instance: newcomer,
        ..digest(2, n, &[(2, 7)])
    };

    let asked = given.called(call(1));
    let to_push = given.core.admit_push(&caller);
    given.fails(2);

    let is_asked = |output: &Output| matches!(output, Output::Digest { .. });
    assert!(asked.iter().any(is_asked), "its address is asked at once");
    let refusal = Refusal::Clone { replica: id(2) };
    assert_eq!(to_push, Err(refusal), "it may be a copy of it");
    assert_eq!(given.known(2), vector(&[]));
    assert_eq!(given.core.admit_push(&caller), Ok(()), "nobody is there");
    given.called(call(2));
    assert_eq!(given.known(2), vector(&[(2, 7)]));
}
