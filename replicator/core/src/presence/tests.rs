use proptest::prelude::*;

use super::*;

const HERE: Instance = Instance(1);

proptest! {
    /// Reports get lost, and what a teller believes of its listener is older than it thinks; reports
    /// that do arrive in their turn are enough. What the listener reports of its changes, counted
    /// over two peers, is the union.
    #[test]
    fn a_listener_ends_with_the_tellers_set_whatever_was_lost(
        changes in prop::collection::vec((0..2_usize, 0..8_u8, any::<bool>(), 0..4_u8), 0..60),
    ) {
        let mut tellers = [OwnPresence::default(), OwnPresence::default()];
        let mut listeners = [PeerPresence::default(), PeerPresence::default()];
        let mut believed = [None; 2];
        let mut elsewhere = Elsewhere::default();
        let mut seen = BTreeSet::new();
        for (peer, user, is_coming, fate) in changes {
            let (teller, listener) = (&mut tellers[peer], &mut listeners[peer]);
            if is_coming {
                teller.change([online(user)], []);
            } else {
                teller.change([], [online(user)]);
            }
            if fate > 0 {
                listener.absorb(HERE, teller.report(HERE, believed[peer], None));
            }
            if fate > 1 {
                believed[peer] = listener.held();
            }
            elsewhere.apply(listener.take_changes());
            fold(&mut seen, elsewhere.take_changes());
        }

        for (teller, listener) in tellers.iter().zip(&mut listeners) {
            listener.absorb(HERE, teller.report(HERE, listener.held(), None));
            elsewhere.apply(listener.take_changes());

            prop_assert_eq!(listener.online(), &set(teller));
            prop_assert_eq!(listener.held().map(|held| held.version), Some(teller.version()));
        }
        fold(&mut seen, elsewhere.take_changes());
        let union: BTreeSet<_> = tellers.iter().flat_map(set).map(|user| user.id).collect();
        prop_assert_eq!(seen, union);
    }
}

#[test]
fn only_a_change_is_told_to_a_listener_that_follows() {
    let mut teller = OwnPresence::default();
    teller.change([online(1), online(2)], []);
    let held = Some(Held {
        instance: HERE,
        version: teller.version(),
    });
    assert!(!teller.change([online(1)], []), "already there");
    assert!(!teller.change([], [online(9)]), "never there");
    assert_eq!(teller.report(HERE, held, None).change, None);

    teller.change([online(3)], [online(1)]);

    let report = teller.report(HERE, held, None);
    assert_eq!(report.full, None);
    let change = report.change.unwrap();
    assert_eq!(change.online, BTreeSet::from([online(3)]));
    assert_eq!(change.offline, BTreeSet::from([online(1)]));
}

#[test]
fn everything_is_told_to_a_listener_that_holds_another_process_or_too_old_a_version() {
    let mut teller = OwnPresence::default();
    let many = u32::try_from(REMEMBERED).unwrap() + 10;
    for user in 0..many {
        teller.change([of_many(user)], []);
        teller.change([], [of_many(user)]);
    }
    teller.change([of_many(0)], []);
    let held = |instance, version| Some(Held { instance, version });

    assert!(teller.report(HERE, held(HERE, 1), None).full.is_some());
    let version = teller.version();
    let other = held(Instance(2), version);
    assert!(teller.report(HERE, other, None).full.is_some());
    let report = teller.report(HERE, held(HERE, version - 1), None);
    assert!(report.full.is_none() && report.change.is_some());

    // Although the version of the one who is left may be lower than what the listener holds.
    let mut listener = PeerPresence::default();
    listener.absorb(
        HERE,
        Report {
            version: 7,
            full: Some([online(1)].into()),
            ..Report::default()
        },
    );
    listener.absorb(HERE, teller.report(HERE, listener.held(), None));
    assert_eq!(listener.online(), &BTreeSet::from([of_many(0)]));
}

#[test]
fn departures_are_remembered_in_a_bounded_number() {
    let mut teller = OwnPresence::default();
    for user in 0..3 * u32::try_from(REMEMBERED).unwrap() {
        teller.change([of_many(user)], []);
        teller.change([], [of_many(user)]);
    }

    assert_eq!(teller.offline.len(), REMEMBERED);
    assert_eq!(teller.changed.len(), REMEMBERED);
}

#[test]
fn a_large_set_is_told_in_reports_of_a_bounded_size_and_at_a_cost_of_its_size() {
    let mut teller = OwnPresence::default();
    teller.change((0..20_000).map(of_many), []);
    let mut listener = PeerPresence::default();
    let (mut reports, mut total) = (0, 0);

    while listener.held().map(|held| held.version) != Some(teller.version()) {
        let report = teller.report(HERE, listener.held(), None);
        let bytes = serde_json::to_vec(&report).unwrap().len();
        assert!(bytes <= REPORT_BYTES + 1_024, "{bytes}");
        assert!(listener.absorb(HERE, report));
        total += bytes;
        reports += 1;
    }

    assert_eq!(listener.online(), &set(&teller));
    assert!((2..20).contains(&reports), "{reports}");
    assert!(total < 20_000 * 100, "{total}");
    teller.change([], (0..20_000).map(of_many));
    while listener.held().map(|held| held.version) != Some(teller.version()) {
        let report = teller.report(HERE, listener.held(), None);
        assert!(serde_json::to_vec(&report).unwrap().len() <= REPORT_BYTES + 1_024);
        listener.absorb(HERE, report);
    }
    assert!(listener.online().is_empty());
}

#[test]
fn a_change_that_starts_later_than_what_is_held_is_ignored() {
    let mut listener = PeerPresence::default();
    let full = Report {
        version: 1,
        full: Some(BTreeSet::new()),
        ..Report::default()
    };
    listener.absorb(HERE, full);
    let report = Report {
        version: 3,
        change: Some(Change {
            since: 2,
            online: BTreeSet::from([online(1)]),
            offline: BTreeSet::new(),
        }),
        ..Report::default()
    };

    assert!(!listener.absorb(HERE, report));

    let held = listener.held().map(|held| held.version);
    assert_eq!(held, Some(1), "so the teller will send what came before");
}

fn set(teller: &OwnPresence) -> BTreeSet<Online> {
    teller
        .online
        .values()
        .map(|user| Online::clone(user))
        .collect()
}

fn fold(seen: &mut BTreeSet<UserId>, changes: OnlineChanges) {
    for ((_, id), name) in changes {
        if name.is_some() {
            seen.insert(id);
        } else {
            seen.remove(&id);
        }
    }
}

fn online(user: u8) -> Online {
    of_many(user.into())
}

fn of_many(user: u32) -> Online {
    Online {
        group: "lobby".into(),
        id: UserId(format!("{user:032}")),
        name: user.to_string(),
    }
}
