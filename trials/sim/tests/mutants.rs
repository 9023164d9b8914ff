//! Mutation tests: rules are switched off one by one, and the simulator must report a violation.

use causeway_domain::rule::{Rule, without};
use causeway_sim::Run;

/// A rule, and the number of seeds within which a violation must be found without it.
const MUTANTS: [(Rule, u64); 29] = [
    (Rule::EpochIsProven, 100),
    (Rule::FileIsAsked, 200),
    (Rule::UnknownOwnEventsRenew, 200),
    (Rule::HeldAfterCommit, 20),
    (Rule::AnsweredAfterCommit, 20),
    (Rule::ClockIsMerged, 50),
    (Rule::ClockIsSeeded, 50),
    (Rule::CursorIsVector, 50),
    (Rule::AcknowledgedByEntry, 20),
    (Rule::RecheckIsOfTheObject, 300),
    (Rule::SettledForTheReader, 50),
    (Rule::NextIsAsked, 100),
    (Rule::PastIsAsked, 50),
    (Rule::AllIsRelayed, 100),
    (Rule::DigestCompares, 100),
    (Rule::OldIsIgnored, 20),
    (Rule::KnownIsReplaced, 500),
    (Rule::ClosedTsIsReserved, 20),
    (Rule::ClosedTsWaitsForVector, 50),
    (Rule::KeyIsLookedUp, 20),
    (Rule::ChainIsChecked, 1_500),
    (Rule::MemoryIsForgotten, 50),
    (Rule::SessionIsProven, 100),
    (Rule::StalledPushWaits, 200),
    (Rule::PipelinedFalls, 100),
    (Rule::LostAnswerIsSettled, 50),
    (Rule::FileIsAwaited, 300),
    (Rule::RepeatedIsRefused, 20),
    (Rule::PrefetchShowsItsOrigins, 1_200),
];

/// The variable that names the only rule to switch off; without it, each is.
const ONE: &str = "CAUSEWAY_MUTANT";

#[test]
fn the_loss_of_a_rule_is_noticed() {
    let only = std::env::var(ONE).ok();
    let is_chosen = |rule: Rule| {
        only.as_ref()
            .is_none_or(|name| *name == format!("{rule:?}"))
    };
    let chosen: Vec<_> = MUTANTS.iter().filter(|it| is_chosen(it.0)).collect();
    assert!(!chosen.is_empty(), "{ONE} names no rule: {only:?}");
    let mut missed = Vec::new();
    for &&(rule, most) in &chosen {
        let mut runs = (0..most).map(Run::of).filter(|run| is_met(rule, run));
        let noticed = runs.find_map(|run| {
            let outcome = without(rule, || run.go());
            outcome.violation.map(|what| (run.seed + 1, what))
        });
        match noticed {
            Some((seeds, what)) => eprintln!("{rule:?}: after {seeds} seeds: {what}"),
            None => missed.push(rule),
        }
    }

    assert!(missed.is_empty(), "no seed fails without {missed:?}");
}

/// Whether the faults of a run can violate a rule: chains differ only if an origin can fork.
fn is_met(rule: Rule, run: &Run) -> bool {
    rule != Rule::ChainIsChecked || run.can_fork()
}
