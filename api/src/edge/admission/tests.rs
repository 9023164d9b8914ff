use super::*;

const BOUNDS: Bounds = Bounds {
    connections: 3,
    per_address: 2,
    first_request: Duration::from_secs(10),
    idle: Duration::from_secs(75),
};

/// A port, with the connections' names as their signals.
struct Port {
    admission: Admission<&'static str>,
    start: Instant,
}

impl Port {
    fn new() -> Self {
        let start = Instant::now();
        Self {
            admission: Admission::new(BOUNDS, start),
            start,
        }
    }

    fn enter(&mut self, name: &'static str, address: u8, second: u64) -> Verdict<&'static str> {
        let address = (address > 0).then(|| IpAddr::from([192, 0, 2, address]));
        let now = self.at(second);
        self.admission.enter(address, now, name)
    }

    fn at(&self, second: u64) -> Instant {
        self.start + Duration::from_secs(second)
    }
}

#[test]
fn the_longest_silent_connection_gives_way_and_a_serving_one_never() {
    let mut port = Port::new();
    assert_eq!(port.enter("serving", 0, 0), Verdict::Admitted(0));
    assert_eq!(port.enter("idle", 0, 0), Verdict::Admitted(1));
    assert!(port.admission.serve(0) && port.admission.serve(1));
    let now = port.at(1);
    port.admission.served(1, now);
    assert_eq!(port.enter("silent", 0, 2), Verdict::Admitted(2));

    assert_eq!(port.enter("a", 0, 3), Verdict::Replaces(3, "silent"));
    assert!(!port.admission.serve(2), "it is asked to close");
    port.admission.leave(2);
    assert!(port.admission.serve(3));
    assert_eq!(port.enter("b", 0, 4), Verdict::Replaces(4, "idle"));
    port.admission.leave(1);
    assert!(port.admission.serve(4));

    assert_eq!(port.enter("c", 0, 5), Verdict::Full);
    port.admission.leave(3);
    assert_eq!(port.enter("d", 0, 6), Verdict::Admitted(5));
    assert_eq!(port.admission.connections.len(), 3);
}

#[test]
fn an_address_has_its_own_bound_and_gives_way_to_itself_alone() {
    let mut port = Port::new();
    assert_eq!(port.enter("other", 2, 0), Verdict::Admitted(0));
    assert_eq!(port.enter("first", 1, 1), Verdict::Admitted(1));
    assert_eq!(port.enter("second", 1, 2), Verdict::Admitted(2));

    assert_eq!(port.enter("third", 1, 3), Verdict::Replaces(3, "first"));
    port.admission.leave(1);
    assert!(port.admission.serve(2) && port.admission.serve(3));
    assert_eq!(port.enter("fourth", 1, 4), Verdict::AddressFull);

    port.admission.leave(2);
    port.admission.leave(3);
    assert_eq!(port.enter("fifth", 1, 5), Verdict::Admitted(4));
    assert_eq!(port.admission.addresses.len(), 2);
    port.admission.leave(4);
    assert_eq!(port.admission.addresses.len(), 1, "nothing is kept");
}

#[test]
fn who_waits_too_long_is_closed_once() {
    let mut port = Port::new();
    port.enter("silent", 0, 0);
    port.enter("idle", 0, 0);
    port.enter("serving", 0, 0);
    assert!(port.admission.serve(1) && port.admission.serve(2));
    let now = port.at(1);
    port.admission.served(1, now);

    let mut expired = |second| {
        let now = port.at(second);
        port.admission.expired(now)
    };

    assert_eq!(expired(9), Vec::<&str>::new());
    assert_eq!(expired(10), ["silent"]);
    assert_eq!(expired(75), Vec::<&str>::new());
    assert_eq!(expired(76), ["idle"]);
    assert_eq!(expired(1_000), Vec::<&str>::new());
}

#[test]
fn a_network_of_ipv6_counts_as_one_address_and_this_machine_as_none() {
    let of = |text: &str| counted(text.parse().unwrap());

    assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
    assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    for here in ["127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(of(here), None, "{here}");
    }
}
